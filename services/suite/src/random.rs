// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers for tests: fast, repeatable, nothing more (splitmix64).

/// A stream of random numbers.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit` (at least 1).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// One of these.
    pub fn pick(&mut self, from: &[u64]) -> u64 {
        let index = self.below(from.len() as u64) as usize;
        from.get(index).copied().unwrap_or(0)
    }
}
