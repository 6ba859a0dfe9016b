// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long runs of bytes, looked at by blocks of words.
//!
//! There is no vector unit for services, and the built-in comparison takes an instruction or more
//! for each byte. What is looked at while a machine stands still is looked at in this way.

const BLOCK: usize = 64;

fn words(block: &[u8; BLOCK]) -> impl Iterator<Item = u64> {
    block.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word))
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let is_zero = |block| words(block).fold(0, |all, word| all | word) == 0;
    blocks.iter().all(is_zero) && rest.iter().all(|byte| *byte == 0)
}

/// Whether both are the same.
pub fn are_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (blocks, rest) = one.as_chunks::<BLOCK>();
    let (other_blocks, other_rest) = other.as_chunks::<BLOCK>();
    let are_equal = |(one, other)| words(one).zip(words(other)).fold(0, |all, (a, b)| all | (a ^ b)) == 0;
    blocks.iter().zip(other_blocks).all(are_equal) && rest.iter().eq(other_rest)
}

/// How many bytes there are up to the last word that is not zero, of whole words.
pub fn used(bytes: &[u8]) -> usize {
    let mut used = bytes.len();
    while let Some(shorter) = used.checked_sub(BLOCK)
        && bytes.get(shorter..used).is_none_or(is_zero)
    {
        used = shorter;
    }
    let words = bytes.get(..used).unwrap_or_default().as_chunks::<8>().0;
    words.iter().rposition(|word| *word != [0; 8]).map_or(0, |last| (last + 1) * 8)
}

#[cfg(test)]
mod tests {
    use super::{are_equal, is_zero, used};
    use std::vec;

    #[test]
    fn one_byte_makes_a_difference_wherever_it_is() {
        for length in [0, 1, 7, 8, 63, 64, 65, 200] {
            let zeros = vec![0; length];
            assert!(is_zero(&zeros) && are_equal(&zeros, &zeros.clone()));
            assert_eq!(used(&zeros), 0);
            for at in 0..length {
                let mut other = zeros.clone();
                other[at] = 0x80;
                assert!(!is_zero(&other) && !are_equal(&zeros, &other) && are_equal(&other, &other.clone()));
            }
            assert!(!are_equal(&zeros, &vec![0; length + 1]));
        }
    }

    #[test]
    fn the_end_is_that_of_the_last_word_that_says_something() {
        for last in 0..256 {
            let mut bytes = vec![0; 256];
            (bytes[0], bytes[last]) = (1, 1);
            assert_eq!(used(&bytes), last / 8 * 8 + 8);
        }
    }
}
