// SPDX-License-Identifier: MIT OR Apache-2.0
//! The obligation to flush (invariant I11).
//!
//! A cut leaves two debts: processors may still hold the translation, and they may still hold the
//! address of a table that was unlinked. Both are paid by [`Flush::spend`]: it first lets the
//! caller flush, then gives the tables back. A debt that is dropped unpaid is a bug of ours and
//! stops a checking build.

use addr::PhysAddr;

use crate::TableMemory;

/// What has to be flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing that a processor could hold was cut.
    Nothing,
    /// Translations of `bytes` bytes from `address` on, and the paging structures on their path.
    Range {
        /// First address.
        address: u64,
        /// Number of bytes.
        bytes: u64,
    },
    /// Every translation of the space.
    Space,
}

/// A debt to be paid before the cut is relied on.
#[must_use = "a cut may be relied on only after its flush was spent"]
#[derive(Debug)]
pub struct Flush {
    scope: Scope,
    /// Tables that were unlinked: a chain through their entries 0, ended by zero. Such a link is
    /// "not present" to a processor that still walks the table.
    retired: u64,
    spent: bool,
}

impl Flush {
    pub(crate) const fn new(scope: Scope) -> Self {
        Self { scope, retired: 0, spent: false }
    }

    /// Add a table that was unlinked and whose entries are all zero.
    pub(crate) fn retire(&mut self, mem: &mut impl TableMemory, table: PhysAddr) {
        mem.write(table, 0, self.retired);
        self.retired = table.as_u64();
    }

    /// What has to be flushed.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Pay: `flush` must not return before no processor holds anything of the scope any more. Then
    /// the unlinked tables return to the pool.
    pub fn spend(mut self, mem: &mut impl TableMemory, flush: impl FnOnce(Scope)) {
        if self.scope != Scope::Nothing {
            flush(self.scope);
        }
        while let Some(table) = PhysAddr::new(self.retired).filter(|table| *table != PhysAddr::ZERO) {
            self.retired = mem.read(table, 0);
            mem.write(table, 0, 0);
            mem.free(table);
        }
        self.spent = true;
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        #[cfg(test)]
        if std::thread::panicking() {
            return;
        }
        debug_assert!(self.spent, "a flush obligation was dropped unspent");
    }
}
