// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packing: which pieces of untyped memory to take for a set of objects, and which object goes into
//! which.
//!
//! Sizes are powers of two and objects are naturally aligned, so objects placed from the largest
//! down leave no gaps; what is lost is only the rounding of the sum to a few pieces.

use alloc::vec::Vec;

/// Most pieces for one set.
const MAX_PIECES: u32 = 3;

/// Sizes (log2, largest first) of the pieces that `total` bytes are taken in.
#[must_use]
pub fn pieces(total: u64) -> Vec<u8> {
    if total == 0 {
        return Vec::new();
    }
    let unit_bits = total.ilog2().saturating_sub(MAX_PIECES - 1).max(u32::from(abi::PAGE_BITS));
    let rounded = total.next_multiple_of(1 << unit_bits);
    (0..64).rev().filter(|bit| rounded >> bit & 1 == 1).collect()
}

/// The order in which to place objects of these sizes (log2), and the piece that each goes into:
/// pairs of object and piece, both by index. `None` if they do not fit.
#[must_use]
pub fn place(objects: &[u8], pieces: &[u8]) -> Option<Vec<(usize, usize)>> {
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.sort_by(|&a, &b| objects[b].cmp(&objects[a]));
    let mut free: Vec<u64> = pieces.iter().map(|&bits| 1 << bits).collect();
    let mut placed = Vec::new();
    for object in order {
        let size = 1u64 << objects[object];
        let piece = free.iter().position(|&free| free >= size)?;
        free[piece] -= size;
        placed.push((object, piece));
    }
    Some(placed)
}

#[cfg(test)]
mod tests {
    use super::{MAX_PIECES, pieces, place};

    #[test]
    fn a_few_pieces_hold_the_sum() {
        for total in [4096, 3 * 4096, 5 << 20, (5 << 20) + 4096, (7 << 20) + 4096, 0x7fff_f000] {
            let pieces = pieces(total);
            let sum: u64 = pieces.iter().map(|&bits| 1u64 << bits).sum();
            assert!(pieces.len() <= MAX_PIECES as usize);
            assert!(sum >= total && sum <= total + total / 2 + 4096);
        }
        assert!(pieces(0).is_empty());
    }

    #[test]
    fn whatever_the_objects_they_fit_into_the_pieces_of_their_sum() {
        let mut random = 1u64;
        for _ in 0..2000 {
            let mut objects = Vec::new();
            for _ in 0..random % 40 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                objects.push(12 + (random >> 33) as u8 % 12);
            }
            random =
                random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 1;
            let total = objects.iter().map(|&bits| 1u64 << bits).sum();
            let placed = place(&objects, &pieces(total)).unwrap();
            assert_eq!(placed.len(), objects.len());
            assert!(placed.windows(2).all(|pair| objects[pair[0].0] >= objects[pair[1].0]));
        }
    }
}
