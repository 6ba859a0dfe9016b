// SPDX-License-Identifier: MIT OR Apache-2.0
//! A set of the 256 interrupt vectors, as the local APIC's IRR, ISR and TMR hold it.

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors(pub [u32; 8]);

impl Vectors {
    /// Adds or takes away a vector.
    pub fn set(&mut self, vector: u8, present: bool) {
        let word = &mut self.0[usize::from(vector >> 5)];
        let bit = 1 << (vector & 31);
        if present { *word |= bit } else { *word &= !bit }
    }

    /// Returns whether the vector is in the set.
    #[must_use]
    pub fn contains(&self, vector: u8) -> bool {
        self.0[usize::from(vector >> 5)] & 1 << (vector & 31) != 0
    }

    /// The highest vector.
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        let index = self.0.iter().rposition(|&word| word != 0)?;
        Some((index as u32 * 32 + self.0[index].ilog2()) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Vectors;

    #[test]
    fn the_highest_vector_is_found_across_words() {
        let mut vectors = Vectors::default();
        assert_eq!(vectors.highest(), None);
        for vector in [0x1f, 0x20, 0xff] {
            vectors.set(vector, true);
            assert_eq!(vectors.highest(), Some(vector));
        }
        vectors.set(0xff, false);
        assert_eq!(vectors.highest(), Some(0x20));
        assert!(vectors.contains(0x1f) && !vectors.contains(0x1e));
    }
}
