// SPDX-License-Identifier: MIT OR Apache-2.0
//! One entry of a table: bits and their meaning.
//!
//! Bits 0 P, 1 RW, 2 US, 5 A, 6 D, 7 PS, 63 NX as the processor has them. Software bits of leaves
//! in a guest space: 9 and 10 "written in an epoch of even / odd number", 11 "never writable".

use addr::{PageSize, PhysAddr};

/// Permissions of a mapping. A mapping can always be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perms {
    /// It can be written.
    pub write: bool,
    /// Instructions can be fetched from it.
    pub execute: bool,
}

impl Perms {
    /// Read only.
    pub const READ: Self = Self { write: false, execute: false };
    /// Read and write.
    pub const READ_WRITE: Self = Self { write: true, execute: false };
    /// Read and execute.
    pub const READ_EXECUTE: Self = Self { write: false, execute: true };
    /// Read, write and execute.
    pub const ALL: Self = Self { write: true, execute: true };

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { write: self.write && other.write, execute: self.execute && other.execute }
    }
}

const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const WRITTEN: [u64; 2] = [1 << 9, 1 << 10];
const READ_ONLY: u64 = 1 << 11;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = ((1 << 52) - 1) & !0xfff;

/// A table entry. Which level it is on is known to who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    pub(crate) const EMPTY: Self = Self(0);

    /// An entry that refers to a table, with every permission.
    pub(crate) const fn table(table: PhysAddr) -> Self {
        Self(table.as_u64() & ADDRESS | PRESENT | WRITE | USER)
    }

    /// An entry that maps a page.
    pub(crate) const fn leaf(page: PhysAddr, size: PageSize, perms: Perms) -> Self {
        let mut bits = page.as_u64() & ADDRESS | PRESENT | USER;
        if !matches!(size, PageSize::Size4K) {
            bits |= LARGE;
        }
        if perms.write {
            bits |= WRITE;
        }
        if !perms.execute {
            bits |= NO_EXECUTE;
        }
        Self(bits)
    }

    pub(crate) const fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    pub(crate) const fn is_writable(self) -> bool {
        self.0 & WRITE != 0
    }

    pub(crate) const fn is_read_only(self) -> bool {
        self.0 & READ_ONLY != 0
    }

    /// Whether it maps a page. Only for a present entry.
    pub(crate) const fn is_leaf(self, level: u8) -> bool {
        level == 1 || self.0 & LARGE != 0
    }

    pub(crate) fn address(self) -> PhysAddr {
        PhysAddr::known(self.0 & ADDRESS)
    }

    pub(crate) const fn perms(self) -> Perms {
        Perms { write: self.is_writable(), execute: self.0 & NO_EXECUTE == 0 }
    }

    pub(crate) const fn with_write(self) -> Self {
        Self(self.0 | WRITE)
    }

    pub(crate) const fn without_write(self) -> Self {
        Self(self.0 & !WRITE)
    }

    pub(crate) const fn as_read_only(self) -> Self {
        Self(self.0 & !WRITE | READ_ONLY)
    }

    pub(crate) const fn is_written(self, epoch: u64) -> bool {
        self.0 & WRITTEN[(epoch & 1) as usize] != 0
    }

    pub(crate) const fn with_written(self, epoch: u64) -> Self {
        Self(self.0 | WRITTEN[(epoch & 1) as usize])
    }

    pub(crate) const fn without_written(self, epoch: u64) -> Self {
        Self(self.0 & !WRITTEN[(epoch & 1) as usize])
    }

    /// The entry of the `index`-th part of a large leaf of `level`, with the same permissions and
    /// books.
    pub(crate) const fn part(self, level: u8, index: usize) -> Self {
        let bytes = 1 << (12 + 9 * (level as u64 - 2));
        let large = if level > 2 { LARGE } else { 0 };
        Self((self.0 & !LARGE | large) + index as u64 * bytes)
    }
}

/// Size of a leaf on a level from 1 to 3.
pub(crate) const fn leaf_size(level: u8) -> PageSize {
    match level {
        1 => PageSize::Size4K,
        2 => PageSize::Size2M,
        _ => PageSize::Size1G,
    }
}

/// Level on which a page of this size is a leaf.
pub(crate) const fn leaf_level(size: PageSize) -> u8 {
    match size {
        PageSize::Size4K => 1,
        PageSize::Size2M => 2,
        PageSize::Size1G => 3,
    }
}

/// log2 of the bytes that an entry of `level` covers.
pub(crate) const fn level_bits(level: u8) -> u8 {
    3 + 9 * level
}

/// Index in the table of `level` for an address.
pub(crate) const fn index_of(address: u64, level: u8) -> usize {
    (address >> level_bits(level) & 511) as usize
}
