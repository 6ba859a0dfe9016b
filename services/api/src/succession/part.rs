// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts in which an image travels.
//!
//! The operator's line is slow, and programs have much in them that repeats itself: a part is
//! compressed (DEFLATE, RFC 1951), each by itself, so that one that is lost or sent twice harms no
//! other. What is in the image is nobody's business here; it is checked as a whole.

use alloc::vec::Vec;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::Request;

/// Most bytes of one part as it travels.
pub const MAX_PART: usize = 3072;
/// Most bytes of an image in one part.
pub const MAX_UNPACKED: usize = 16 << 10;
/// Effort of the compression, of 10.
const LEVEL: u8 = 6;

/// The parts of an image, in order.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    image: &'a [u8],
    offset: usize,
}

impl<'a> Parts<'a> {
    /// Of this image.
    #[must_use]
    pub const fn new(image: &'a [u8]) -> Self {
        Self { image, offset: 0 }
    }
}

impl Iterator for Parts<'_> {
    /// The part, and how many bytes of the image are there with it.
    type Item = (Request, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.image.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let mut size = rest.len().min(MAX_UNPACKED);
        // What does not shrink at all grows by a few bytes: a small piece always fits.
        let packed = loop {
            let packed = compress_to_vec(rest.get(..size)?, LEVEL);
            if packed.len() <= MAX_PART {
                break packed;
            }
            size = size * 3 / 4;
        };
        let part = Request::Part { offset: self.offset as u64, packed };
        self.offset += size;
        Some((part, self.offset as u64))
    }
}

/// The bytes of a part; `None` if they are not compressed as they should be, or too many.
#[must_use]
pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    decompress_to_vec_with_limit(packed, MAX_UNPACKED).ok()
}

#[cfg(test)]
mod tests {
    use super::{MAX_PART, MAX_UNPACKED, Parts, Request, unpack};
    use alloc::vec::Vec;

    /// Bytes that repeat themselves and bytes that do not, by turns.
    fn image(size: usize) -> Vec<u8> {
        let mut seed = 1_u64;
        (0..size)
            .map(|at| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if at / 20_000 % 2 == 0 { (at % 7) as u8 } else { (seed >> 33) as u8 }
            })
            .collect()
    }

    #[test]
    fn an_image_arrives_as_it_was_in_parts_that_fit() {
        for size in [1, 2, MAX_PART, MAX_UNPACKED, MAX_UNPACKED + 1, 100_000] {
            let image = image(size);
            let mut arrived = Vec::new();
            for (part, there) in Parts::new(&image) {
                let Request::Part { offset, packed } = part else { panic!("{part:?}") };
                assert!(packed.len() <= MAX_PART && offset == arrived.len() as u64);
                arrived.extend(unpack(&packed).expect("a part"));
                assert_eq!(there, arrived.len() as u64);
            }
            assert_eq!(arrived, image);
        }
        assert_eq!(Parts::new(&[]).next(), None);
    }

    #[test]
    fn what_unpacks_to_too_much_or_to_nothing_is_refused() {
        let bomb = miniz_oxide::deflate::compress_to_vec(&alloc::vec![0; MAX_UNPACKED + 1], 9);
        assert!(bomb.len() < 100);
        for packed in [&bomb[..], &[0xff; 40], &[], &bomb[..bomb.len() / 2]] {
            assert_eq!(unpack(packed), None);
        }
    }
}
