// SPDX-License-Identifier: MIT OR Apache-2.0
//! What host and guest tables have in common: mapping a block, and looking an address up.

use addr::{PageSize, PhysAddr};

use crate::entry::{self, Entry, Perms};
use crate::{ENTRIES, TableMemory};

/// Number of levels.
pub(crate) const LEVELS: u8 = 4;

/// A naturally aligned block to be mapped: `1 << bits` bytes of memory from `frame` on, at
/// `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it is to appear.
    pub address: u64,
    /// The memory.
    pub frame: PhysAddr,
    /// log2 of the bytes, 12 to 30.
    pub bits: u8,
}

/// Why a block was not mapped. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The block is smaller than a page or larger than 1 GiB, or one of its ends is not naturally
    /// aligned.
    Misaligned,
    /// The block does not lie within the addresses that this kind of table translates.
    OutOfRange,
    /// A page of it is mapped already.
    AlreadyMapped,
    /// The pool has too few tables.
    TablesExhausted,
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The memory at this very address.
    pub pa: PhysAddr,
    /// Size of the page around it.
    pub size: PageSize,
    /// What all levels together allow.
    pub perms: Perms,
}

/// Where to write entries: `count` of them from `index` on, in a table of `level`; and the tables
/// still missing on the path.
struct Place {
    /// Deepest table that exists on the path.
    table: PhysAddr,
    table_level: u8,
    level: u8,
    index: usize,
    count: usize,
}

impl Block {
    /// Whether it can be mapped below `end`.
    fn check(&self, end: u64) -> Result<(), MapError> {
        let aligned = self.frame.is_aligned(self.bits) && self.address & ((1 << self.bits.min(30)) - 1) == 0;
        if !(12..=30).contains(&self.bits) || !aligned {
            return Err(MapError::Misaligned);
        }
        if self.address >= end {
            return Err(MapError::OutOfRange);
        }
        Ok(())
    }

    /// Find the place for it and check that it is free.
    fn find(&self, mem: &impl TableMemory, root: PhysAddr, largest: PageSize) -> Result<Place, MapError> {
        let size = PageSize::largest_within(self.bits, largest).ok_or(MapError::Misaligned)?;
        let level = entry::leaf_level(size);
        let mut place = Place {
            table: root,
            table_level: LEVELS,
            level,
            index: entry::index_of(self.address, level),
            count: 1 << (self.bits - size.bits()),
        };
        while place.table_level > level {
            let found = Entry(mem.read(place.table, entry::index_of(self.address, place.table_level)));
            if !found.is_present() {
                return Ok(place);
            }
            if found.is_leaf(place.table_level) {
                return Err(MapError::AlreadyMapped);
            }
            place.table = found.address();
            place.table_level -= 1;
        }
        let taken = (place.index..place.index + place.count).any(|i| mem.read(place.table, i) != 0);
        if taken { Err(MapError::AlreadyMapped) } else { Ok(place) }
    }
}

/// Map a block with the largest pages that fit, all of them made by `leaf` for the memory and size
/// of one page.
pub(crate) fn map(
    mem: &mut impl TableMemory,
    root: PhysAddr,
    block: Block,
    limits: (u64, PageSize),
    leaf: impl Fn(PhysAddr, PageSize) -> Entry,
) -> Result<(), MapError> {
    block.check(limits.0)?;
    let place = block.find(mem, root, limits.1)?;
    let missing = usize::from(place.table_level - place.level);
    let mut tables = [PhysAddr::ZERO; LEVELS as usize];
    for i in 0..missing {
        match mem.alloc() {
            Some(table) => tables[i] = table,
            None => {
                tables[..i].iter().for_each(|table| mem.free(*table));
                return Err(MapError::TablesExhausted);
            }
        }
    }

    // The new branch is built from its leaves up and linked by one write, so that a walker sees all
    // of it or nothing.
    let new = &tables[..missing];
    let bottom = new.last().copied().unwrap_or(place.table);
    let size = entry::leaf_size(place.level);
    for i in 0..place.count {
        let page = PhysAddr::known(block.frame.as_u64() + i as u64 * size.bytes());
        mem.write(bottom, place.index + i, leaf(page, size).0);
    }
    for (depth, table) in new.iter().enumerate().rev() {
        let level = place.table_level - depth as u8;
        let parent = if depth == 0 { place.table } else { new[depth - 1] };
        mem.write(parent, entry::index_of(block.address, level), Entry::table(*table).0);
    }
    Ok(())
}

/// Look an address up.
pub(crate) fn translate(mem: &impl TableMemory, root: PhysAddr, address: u64) -> Option<Mapping> {
    let mut table = root;
    let mut perms = Perms::ALL;
    for level in (1..=LEVELS).rev() {
        let found = Entry(mem.read(table, entry::index_of(address, level)));
        if !found.is_present() {
            return None;
        }
        perms = perms.and(found.perms());
        if found.is_leaf(level) {
            let size = entry::leaf_size(level);
            let pa = PhysAddr::new(found.address().as_u64() | address & (size.bytes() - 1))?;
            return Some(Mapping { pa, size, perms });
        }
        table = found.address();
    }
    None
}

/// Whether every entry of a table is zero.
pub(crate) fn is_empty(mem: &impl TableMemory, table: PhysAddr) -> bool {
    (0..ENTRIES).all(|i| mem.read(table, i) == 0)
}
