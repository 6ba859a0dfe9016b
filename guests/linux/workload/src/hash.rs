// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work whose result is known beforehand: a buffer of pseudo-random words, and its hash.

/// Words of a buffer.
pub const WORDS: usize = 1 << 15;

/// By seed: the hash of the buffer. Computed by another program in another language.
const KNOWN: [u64; 8] = [
    0x9f90_f16f_3fe5_ef63,
    0xaa09_c513_b383_3652,
    0x5729_8c73_3cb8_155d,
    0x63a9_9950_1943_02eb,
    0x6edf_d1ee_e42b_e58d,
    0xf6f5_f5d2_986e_672f,
    0xee20_bd4d_9eef_4ca8,
    0xe265_3c7c_d2ea_64a8,
];

/// Fills a buffer and hashes it; an error says what came out.
pub fn pass(seed: usize, words: &mut [u64]) -> Result<(), String> {
    let seed = seed % KNOWN.len();
    fill(seed as u64, words);
    let hash = hash(words);
    if hash == KNOWN[seed] { Ok(()) } else { Err(format!("hash {seed} is {hash:#018x}")) }
}

/// By the generator xorshift64.
fn fill(seed: u64, words: &mut [u64]) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for word in words {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *word = state;
    }
}

/// Every bit of every word, and the order of words, changes it.
fn hash(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
        (hash ^ word).rotate_left(23).wrapping_mul(0x0100_0000_01b3).wrapping_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_has_the_known_result() {
        let mut words = vec![0; WORDS];
        let results: Vec<_> = (0..KNOWN.len()).map(|seed| pass(seed, &mut words)).collect();
        assert!(results.iter().all(Result::is_ok), "{results:#?}");
    }

    #[test]
    fn one_wrong_bit_changes_the_hash() {
        let mut words = vec![0; WORDS];
        fill(0, &mut words);
        words[WORDS / 2] ^= 1;
        assert_ne!(hash(&words), KNOWN[0]);
    }
}
