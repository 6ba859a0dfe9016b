// SPDX-License-Identifier: MIT OR Apache-2.0
//! Undoing a mapping, in bounded steps (invariant I4).
//!
//! A block was mapped by entries of one table, but sealing may have split its large pages since.
//! Each step clears entries of one table, unlinks the tables that became empty by it, and hands out
//! the flush for just that; between steps the table is consistent, so the operation may be left and
//! taken up again from the cursor alone.

use addr::PhysAddr;

use crate::entry::{self, Entry};
use crate::flush::{Flush, Scope};
use crate::walk::{self, LEVELS};
use crate::{ENTRIES, TableMemory};

/// An unmapping under way.
#[derive(Clone, Copy, Debug)]
pub struct Unmap {
    root: PhysAddr,
    cursor: u64,
    end: u64,
    bits: u8,
}

/// What one step did.
#[must_use]
#[derive(Debug)]
pub struct UnmapStep {
    /// To be spent before the memory that was mapped is used for anything else.
    pub flush: Flush,
    /// Whether further steps are needed.
    pub more: bool,
}

impl Unmap {
    pub(crate) const fn new(root: PhysAddr, address: u64, bits: u8) -> Self {
        let bits = if bits > 30 { 30 } else { bits };
        Self { root, cursor: address, end: address.saturating_add(1 << bits), bits }
    }

    /// Take one step: at most 512 entries of one table are cleared.
    pub fn step(&mut self, mem: &mut impl TableMemory) -> UnmapStep {
        let mut path = [self.root; LEVELS as usize + 1];
        let mut level = LEVELS;
        let from = self.cursor;
        // Descend to the deepest table on the way to the cursor.
        loop {
            let found = Entry(mem.read(path[usize::from(level)], entry::index_of(from, level)));
            if !found.is_present() || found.is_leaf(level) {
                break;
            }
            level -= 1;
            path[usize::from(level)] = found.address();
        }
        let cleared = self.clear_run(mem, path[usize::from(level)], level);
        let scope =
            if cleared { Scope::Range { address: from, bytes: self.cursor - from } } else { Scope::Nothing };
        let mut flush = Flush::new(scope);
        if cleared {
            prune(mem, &path, level, (from, &mut flush));
        }
        UnmapStep { flush, more: self.cursor < self.end }
    }

    /// Take all steps, each flushed by `flush`.
    pub fn finish(mut self, mem: &mut impl TableMemory, mut flush: impl FnMut(Scope)) {
        loop {
            let step = self.step(mem);
            step.flush.spend(mem, &mut flush);
            if !step.more {
                return;
            }
        }
    }

    /// Clear leaves of `table` from the cursor to the end of the block or table, or to an entry
    /// that refers to another table; move the cursor there. Says whether anything was mapped.
    fn clear_run(&mut self, mem: &mut impl TableMemory, table: PhysAddr, level: u8) -> bool {
        let bits = entry::level_bits(level);
        let mut cleared = false;
        for index in entry::index_of(self.cursor, level)..ENTRIES {
            let found = Entry(mem.read(table, index));
            if self.cursor >= self.end || found.is_present() && !found.is_leaf(level) {
                break;
            }
            // A page larger than the block was never mapped for it.
            if found != Entry::EMPTY && bits <= self.bits {
                mem.write(table, index, 0);
                cleared = true;
            }
            self.cursor = ((self.cursor >> bits) + 1) << bits;
        }
        cleared
    }
}

/// Unlink the tables on the path, from `level` up, that are empty now. The root stays.
fn prune(
    mem: &mut impl TableMemory,
    path: &[PhysAddr; LEVELS as usize + 1],
    level: u8,
    (address, flush): (u64, &mut Flush),
) {
    for level in level..LEVELS {
        let table = path[usize::from(level)];
        if !walk::is_empty(mem, table) {
            return;
        }
        let parent = path[usize::from(level) + 1];
        mem.write(parent, entry::index_of(address, level + 1), 0);
        flush.retire(mem, table);
    }
}
