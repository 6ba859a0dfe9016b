// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nested table of a guest space: mapping, the seal, and the books of written pages.
//!
//! *Seal.* Permissions are ANDed over the levels, so clearing "writable" in the root's entries
//! makes a whole guest read-only in constant time. A later write fault pushes the protection down,
//! one level per step, until it rests on one page of 4 KiB. Every leaf is writable unless it is
//! sealed or was mapped read-only.
//!
//! *Books.* Time is cut into epochs by the seals. In epoch e, a page that can be written carries
//! the software bit of e's parity; a leaf stands for all its pages. The bits of the epoch before
//! are still there to be harvested; who does not forget them before the next seal finds pages that
//! were not written, but never misses one that was.

use addr::{GuestPhysAddr, PageSize, PhysAddr};

use crate::entry::{self, Entry, Perms};
use crate::flush::{Flush, Scope};
use crate::walk::{self, Block, LEVELS, MapError, Mapping};
use crate::{ENTRIES, TableMemory, Unmap};

/// A nested page table.
#[derive(Clone, Copy, Debug)]
pub struct GuestTable {
    pub(crate) root: PhysAddr,
    largest: PageSize,
    pub(crate) epoch: u64,
}

/// Entries that are passed over together where all are empty.
const GROUP: usize = 16;

/// What one step on the way to a writable page found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStep {
    /// The protection was pushed down one level; ask again.
    PushedDown,
    /// This page of 4 KiB is sealed, and every level above it is writable.
    Sealed(GuestPhysAddr),
    /// The page can be written. A processor that faulted on it holds an old translation; drop it.
    AlreadyWritable,
    /// The page was mapped read-only.
    ReadOnly,
    /// Nothing is mapped there.
    NotMapped,
    /// A large page has to be split, and the pool has no table. Nothing has changed.
    TablesExhausted,
}

/// Why a page was not unsealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsealError {
    /// Nothing is mapped there.
    NotMapped,
    /// The page was mapped read-only.
    ReadOnly,
    /// The pool has no table to split a large page.
    TablesExhausted,
}

impl GuestTable {
    /// First address that cannot be mapped.
    pub const END: u64 = 1 << 48;

    /// The table with this root, in an epoch, on a processor whose largest page is `largest`.
    #[must_use]
    pub const fn new(root: PhysAddr, largest: PageSize, epoch: u64) -> Self {
        Self { root, largest, epoch }
    }

    /// The present epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Map a block. It counts as written in the present epoch.
    ///
    /// # Errors
    /// As [`MapError`] says; nothing has changed.
    pub fn map(&self, mem: &mut impl TableMemory, block: Block) -> Result<(), MapError> {
        walk::map(mem, self.root, block, (Self::END, self.largest), |page, size| {
            Entry::leaf(page, size, Perms::ALL).with_written(self.epoch)
        })
    }

    /// Map a block that the guest can never write. It counts as written in the present epoch.
    ///
    /// # Errors
    /// As [`MapError`] says; nothing has changed.
    pub fn map_read_only(&self, mem: &mut impl TableMemory, block: Block) -> Result<(), MapError> {
        walk::map(mem, self.root, block, (Self::END, self.largest), |page, size| {
            Entry::leaf(page, size, Perms::READ_EXECUTE).with_written(self.epoch).as_read_only()
        })
    }

    /// Undo the mapping of `1 << bits` bytes at `address`, which [`GuestTable::map`] took.
    #[must_use]
    pub const fn unmap(&self, address: GuestPhysAddr, bits: u8) -> Unmap {
        Unmap::new(self.root, address.as_u64(), bits)
    }

    /// Where an address leads, and what the guest may do there now.
    #[must_use]
    pub fn translate(&self, mem: &impl TableMemory, address: GuestPhysAddr) -> Option<Mapping> {
        walk::translate(mem, self.root, address.as_u64())
    }

    /// Whether the page can be written now.
    #[must_use]
    pub fn is_writable(&self, mem: &impl TableMemory, address: GuestPhysAddr) -> bool {
        self.translate(mem, address).is_some_and(|mapping| mapping.perms.write)
    }

    /// Make the whole guest read-only and begin a new epoch. Touches the root only.
    pub fn seal(&mut self, mem: &mut impl TableMemory) -> Flush {
        clear_write(mem, self.root);
        self.epoch += 1;
        Flush::new(Scope::Space)
    }

    /// Take one bounded step towards a writable page at `address`: push the protection down one
    /// level, or say what is there. Only adds rights, so it needs no flush.
    pub fn write_fault(&self, mem: &mut impl TableMemory, address: GuestPhysAddr) -> FaultStep {
        let mut table = self.root;
        for level in (1..=LEVELS).rev() {
            let index = entry::index_of(address.as_u64(), level);
            let found = Entry(mem.read(table, index));
            if !found.is_present() {
                return FaultStep::NotMapped;
            }
            if found.is_leaf(level) {
                return leaf_fault(mem, found, (table, index, level), address);
            }
            if !found.is_writable() {
                // First below, then above: a walker meets the seal on one of the two levels at any
                // time.
                clear_write(mem, found.address());
                mem.write(table, index, found.with_write().0);
                return FaultStep::PushedDown;
            }
            table = found.address();
        }
        FaultStep::NotMapped
    }

    /// Let the page of 4 KiB at `address` be written, and note it as written in the present epoch.
    /// At most 3 levels are pushed down and 2 pages split.
    ///
    /// # Errors
    /// As [`UnsealError`] says; what was sealed still is.
    pub fn unseal(&self, mem: &mut impl TableMemory, address: GuestPhysAddr) -> Result<(), UnsealError> {
        loop {
            match self.write_fault(mem, address) {
                FaultStep::PushedDown => {}
                FaultStep::Sealed(page) => {
                    self.open(mem, page);
                    return Ok(());
                }
                FaultStep::AlreadyWritable => return Ok(()),
                FaultStep::ReadOnly => return Err(UnsealError::ReadOnly),
                FaultStep::NotMapped => return Err(UnsealError::NotMapped),
                FaultStep::TablesExhausted => return Err(UnsealError::TablesExhausted),
            }
        }
    }

    /// Make the leaf of a page writable that [`GuestTable::write_fault`] found to be sealed.
    fn open(&self, mem: &mut impl TableMemory, page: GuestPhysAddr) {
        let mut table = self.root;
        for level in (2..=LEVELS).rev() {
            table = Entry(mem.read(table, entry::index_of(page.as_u64(), level))).address();
        }
        let index = entry::index_of(page.as_u64(), 1);
        let found = Entry(mem.read(table, index));
        mem.write(table, index, found.with_written(self.epoch).with_write().0);
    }
}

/// A write fault that ended at a leaf, every level above which is writable.
fn leaf_fault(
    mem: &mut impl TableMemory,
    leaf: Entry,
    (table, index, level): (PhysAddr, usize, u8),
    address: GuestPhysAddr,
) -> FaultStep {
    if leaf.is_writable() {
        return FaultStep::AlreadyWritable;
    }
    if leaf.is_read_only() {
        return FaultStep::ReadOnly;
    }
    if level == 1 {
        return FaultStep::Sealed(address.align_down(PageSize::Size4K));
    }
    let Some(parts) = mem.alloc() else {
        return FaultStep::TablesExhausted;
    };
    for i in 0..ENTRIES {
        mem.write(parts, i, leaf.part(level, i).0);
    }
    mem.write(table, index, Entry::table(parts).0);
    FaultStep::PushedDown
}

/// Clear "writable" in every entry of a table that is used.
fn clear_write(mem: &mut impl TableMemory, table: PhysAddr) {
    for group in (0..ENTRIES).step_by(GROUP) {
        // A root has few entries in use, and a guest stands still until all have been looked at.
        if (group..group + GROUP).fold(0, |any, i| any | mem.read(table, i)) == 0 {
            continue;
        }
        for i in group..group + GROUP {
            let found = Entry(mem.read(table, i));
            if found.is_present() && found.is_writable() {
                mem.write(table, i, found.without_write().0);
            }
        }
    }
}
