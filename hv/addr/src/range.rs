// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of physical memory.

use crate::PhysAddr;

/// A range of physical memory that lies within the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhysRange {
    base: PhysAddr,
    bytes: u64,
}

impl PhysRange {
    /// The range of `bytes` from `base` on, if it ends within the address space.
    #[must_use]
    pub const fn new(base: PhysAddr, bytes: u64) -> Option<Self> {
        match base.as_u64().checked_add(bytes) {
            Some(end) if end <= 1 << 52 => Some(Self { base, bytes }),
            _ => None,
        }
    }

    /// The naturally aligned block of `1 << bits` bytes, if `base` is aligned.
    #[must_use]
    pub const fn block(base: PhysAddr, bits: u8) -> Option<Self> {
        if bits < 52 && base.is_aligned(bits) { Self::new(base, 1 << bits) } else { None }
    }

    /// First address.
    #[must_use]
    pub const fn base(self) -> PhysAddr {
        self.base
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// Number of the byte after the last; may be 2^52, which is no address.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.base.as_u64() + self.bytes
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bytes == 0
    }

    /// Whether the byte at `address` is inside.
    #[must_use]
    pub const fn contains(self, address: PhysAddr) -> bool {
        address.as_u64() >= self.base.as_u64() && address.as_u64() < self.end()
    }

    /// Whether every byte of `other` is inside.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.is_empty() || (other.base.as_u64() >= self.base.as_u64() && other.end() <= self.end())
    }

    /// Whether a byte is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && self.base.as_u64() < other.end()
            && other.base.as_u64() < self.end()
    }

    /// The parts before and after the first `bytes` bytes.
    #[must_use]
    pub const fn split_at(self, bytes: u64) -> Option<(Self, Self)> {
        if bytes > self.bytes {
            return None;
        }
        match (Self::new(self.base, bytes), self.base.checked_add(bytes)) {
            (Some(before), Some(middle)) => match Self::new(middle, self.bytes - bytes) {
                Some(after) => Some((before, after)),
                None => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PhysRange;
    use crate::PhysAddr;

    fn range(base: u64, bytes: u64) -> PhysRange {
        PhysRange::new(PhysAddr::known(base), bytes).unwrap()
    }

    #[test]
    fn a_range_ends_within_the_address_space() {
        assert!(PhysRange::new(PhysAddr::known((1 << 52) - 4096), 4096).is_some());
        assert!(PhysRange::new(PhysAddr::known((1 << 52) - 4096), 4097).is_none());
        assert!(PhysRange::new(PhysAddr::known(4096), u64::MAX).is_none());
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        assert!(!range(0, 4096).overlaps(range(4096, 4096)));
        assert!(range(0, 4097).overlaps(range(4096, 4096)));
        assert!(!range(0, 4096).overlaps(range(16, 0)));
        assert!(range(0, 4096).covers(range(4095, 1)) && !range(0, 4096).covers(range(4095, 2)));
    }

    #[test]
    fn a_block_is_naturally_aligned() {
        assert!(PhysRange::block(PhysAddr::known(0x20_0000), 21).is_some());
        assert!(PhysRange::block(PhysAddr::known(0x10_0000), 21).is_none());
        assert!(PhysRange::block(PhysAddr::known(0), 200).is_none());
    }

    #[test]
    fn the_parts_of_a_split_make_the_whole() {
        let (before, after) = range(0x1000, 0x3000).split_at(0x1000).unwrap();
        assert_eq!((before, after), (range(0x1000, 0x1000), range(0x2000, 0x2000)));
        assert!(range(0, 4096).split_at(4097).is_none());
    }
}
