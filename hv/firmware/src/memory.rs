// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of physical memory, and sets of them.

use crate::list::List;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// A range of physical memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Range {
    /// From `base` to `end` (exclusive); empty if they are the wrong way round.
    #[must_use]
    pub const fn between(base: u64, end: u64) -> Self {
        Self { base, size: end.saturating_sub(base) }
    }

    /// First byte after the range.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// The whole pages inside.
    #[must_use]
    pub const fn pages_inside(self) -> Self {
        let base = self.base.saturating_add(PAGE - 1) & !(PAGE - 1);
        Self::between(base, self.end() & !(PAGE - 1))
    }

    /// The pages that the range touches.
    #[must_use]
    pub const fn pages_touched(self) -> Self {
        if self.size == 0 {
            return Self { base: self.base, size: 0 };
        }
        Self::between(self.base & !(PAGE - 1), self.end().saturating_add(PAGE - 1) & !(PAGE - 1))
    }

    /// Whether `address` lies in the range.
    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        self.base <= address && address < self.end()
    }
}

/// A set of memory as at most `N` ranges: sorted, apart from each other, none empty.
///
/// When there is no room the smallest range is forgotten: memory that is not known is not used.
#[derive(Clone, Debug)]
pub struct RangeSet<const N: usize> {
    ranges: List<Range, N>,
}

impl<const N: usize> Default for RangeSet<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> RangeSet<N> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: List::new(Range { base: 0, size: 0 }) }
    }

    /// The ranges, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Range] {
        self.ranges.as_slice()
    }

    /// Adds what is in `range`.
    pub fn insert(&mut self, range: Range) {
        if range.size == 0 {
            return;
        }
        let (mut base, mut end) = (range.base, range.end());
        let mut index = 0;
        while let Some(&old) = self.ranges.get(index) {
            if old.end() < base {
                index += 1;
            } else if old.base > end {
                break;
            } else {
                base = base.min(old.base);
                end = end.max(old.end());
                self.ranges.remove(index);
            }
        }
        self.put(index, Range::between(base, end));
    }

    /// Takes what is in `range` out.
    pub fn remove(&mut self, range: Range) {
        if range.size == 0 {
            return;
        }
        let mut index = 0;
        while let Some(&old) = self.ranges.get(index) {
            if old.end() <= range.base {
                index += 1;
            } else if old.base >= range.end() {
                break;
            } else {
                self.ranges.remove(index);
                for part in [Range::between(old.base, range.base), Range::between(range.end(), old.end())] {
                    if part.size > 0 && self.put(index, part) {
                        index += 1;
                    }
                }
            }
        }
    }

    /// Puts `range` at `index`. False if `index` is free for the next range because something
    /// shorter had to go.
    fn put(&mut self, index: usize, range: Range) -> bool {
        if self.ranges.is_full() {
            let shortest = (0..self.ranges.len()).min_by_key(|&i| self.ranges[i].size);
            match shortest {
                Some(i) if self.ranges[i].size < range.size => {
                    self.ranges.remove(i);
                    let index = if i < index { index - 1 } else { index };
                    self.ranges.insert(index, range);
                    return i > index;
                }
                _ => return false,
            }
        }
        self.ranges.insert(index, range)
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.size))
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, RangeSet};

    fn set(pairs: &[(u64, u64)]) -> RangeSet<8> {
        let mut set = RangeSet::new();
        for &(base, end) in pairs {
            set.insert(Range::between(base, end));
        }
        set
    }

    fn pairs(set: &RangeSet<8>) -> impl Iterator<Item = (u64, u64)> {
        set.as_slice().iter().map(|range| (range.base, range.end()))
    }

    #[test]
    fn neighbours_merge_in_any_order() {
        assert!(pairs(&set(&[(30, 40), (0, 10), (20, 30), (10, 20)])).eq([(0, 40)]));
        assert!(pairs(&set(&[(5, 6), (1, 2), (3, 4)])).eq([(1, 2), (3, 4), (5, 6)]));
        assert!(pairs(&set(&[(1, 9), (3, 4), (8, 12), (20, 20)])).eq([(1, 12)]));
    }

    #[test]
    fn removal_splits_and_trims() {
        let mut ranges = set(&[(0, 100), (200, 300), (400, 500)]);
        ranges.remove(Range::between(50, 60));
        ranges.remove(Range::between(250, 450));
        assert!(pairs(&ranges).eq([(0, 50), (60, 100), (200, 250), (450, 500)]));
        ranges.remove(Range::between(0, u64::MAX));
        assert!(pairs(&ranges).eq([]));
    }

    #[test]
    fn whole_pages() {
        assert_eq!(Range::between(1, 0x3fff).pages_inside(), Range::between(0x1000, 0x3000));
        assert_eq!(Range::between(0x1001, 0x1fff).pages_inside().size, 0);
        assert_eq!(Range::between(0x1001, 0x2001).pages_touched(), Range::between(0x1000, 0x3000));
        assert_eq!(Range::between(u64::MAX - 5, u64::MAX).pages_inside().size, 0);
    }

    #[test]
    fn a_set_agrees_with_a_bitmap_as_long_as_there_is_room() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..2000 {
            let mut wanted = [false; 64];
            let mut exact: RangeSet<64> = RangeSet::new();
            let mut narrow: RangeSet<4> = RangeSet::new();
            for _ in 0..20 {
                let (base, end) = (random(64), random(64));
                let range = Range::between(base, end);
                let add = random(2) == 0;
                for address in base..end {
                    wanted[address as usize] = add;
                }
                if add {
                    exact.insert(range);
                    narrow.insert(range);
                } else {
                    exact.remove(range);
                    narrow.remove(range);
                }
                let sorted = |ranges: &[Range]| {
                    ranges.iter().all(|range| range.size > 0)
                        && ranges.windows(2).all(|pair| pair[0].end() < pair[1].base)
                };
                assert!(sorted(exact.as_slice()) && sorted(narrow.as_slice()));
                for address in 0..64 {
                    let has = |ranges: &[Range]| ranges.iter().any(|range| range.contains(address));
                    assert_eq!(has(exact.as_slice()), wanted[address as usize]);
                    assert!(!has(narrow.as_slice()) || wanted[address as usize], "invented memory");
                }
            }
        }
    }
}
