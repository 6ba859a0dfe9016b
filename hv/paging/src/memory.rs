// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the engine gets at tables.

use addr::PhysAddr;

/// The memory of page tables: reading and writing single entries, and a pool of tables.
///
/// A write has to be one store of 64 bits, ordered after the writes before it (what x86 does
/// anyway), because processors walk the tables meanwhile.
pub trait TableMemory {
    /// The entry at `index` (below 512) of a table.
    fn read(&self, table: PhysAddr, index: usize) -> u64;
    /// Replace the entry at `index` (below 512) of a table.
    fn write(&mut self, table: PhysAddr, index: usize, entry: u64);
    /// Take a table from the pool. All its entries are zero.
    fn alloc(&mut self) -> Option<PhysAddr>;
    /// Give a table back to the pool. The engine has made all its entries zero, and calls this only
    /// after the flush that makes sure that no processor remembers the table.
    fn free(&mut self, table: PhysAddr);
}
