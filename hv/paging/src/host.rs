// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of a host space: what a service sees. Only its user half is ever touched.

use addr::{PageSize, PhysAddr, VirtAddr};

use crate::entry::{Entry, Perms};
use crate::walk::{self, Block, MapError, Mapping};
use crate::{TableMemory, Unmap};

/// The user half of a page table.
#[derive(Clone, Copy, Debug)]
pub struct HostTable {
    root: PhysAddr,
    largest: PageSize,
}

impl HostTable {
    /// The table with this root, on a processor whose largest page is `largest`.
    #[must_use]
    pub const fn new(root: PhysAddr, largest: PageSize) -> Self {
        Self { root, largest }
    }

    /// Map a block for the user. Adding a mapping needs no flush.
    ///
    /// # Errors
    /// As [`MapError`] says; nothing has changed.
    pub fn map(&self, mem: &mut impl TableMemory, block: Block, perms: Perms) -> Result<(), MapError> {
        let limits = (VirtAddr::USER_END, self.largest);
        walk::map(mem, self.root, block, limits, |page, size| Entry::leaf(page, size, perms))
    }

    /// Undo the mapping of `1 << bits` bytes at `address`, which [`HostTable::map`] took.
    #[must_use]
    pub const fn unmap(&self, address: VirtAddr, bits: u8) -> Unmap {
        Unmap::new(self.root, address.as_u64(), bits)
    }

    /// Where a user address leads.
    #[must_use]
    pub fn translate(&self, mem: &impl TableMemory, address: VirtAddr) -> Option<Mapping> {
        if !address.is_user() {
            return None;
        }
        walk::translate(mem, self.root, address.as_u64())
    }
}
