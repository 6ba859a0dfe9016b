// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the engine on memory that records every write.

mod checking;
mod guest;
mod history;
mod host;
mod model;
mod stale;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::vec::Vec;

use addr::{GuestPhysAddr, PageSize, PhysAddr};

use crate::{Block, ENTRIES, GuestTable, TableMemory};

/// Root table of every test.
const ROOT: PhysAddr = PhysAddr::known(0x1000);

/// One write to a table.
#[derive(Clone, Copy, Debug)]
struct Write {
    table: u64,
    index: usize,
    entry: u64,
}

/// Tables in a map, with a pool of bounded size, a history of writes and a count of reads.
#[derive(Clone)]
struct Memory {
    tables: BTreeMap<u64, [u64; ENTRIES]>,
    pool: Vec<u64>,
    history: Vec<Write>,
    reads: Cell<usize>,
}

impl Memory {
    fn with_tables(count: u64) -> Self {
        let mut tables = BTreeMap::new();
        tables.insert(ROOT.as_u64(), [0; ENTRIES]);
        let pool = (0..count).map(|i| 0x10_0000 + i * 0x1000).collect();
        Self { tables, pool, history: Vec::new(), reads: Cell::new(0) }
    }

    /// What the tables were after the first `steps` writes since `before`.
    fn replay(before: &Memory, history: &[Write]) -> Memory {
        let mut memory = before.clone();
        for write in history {
            memory.tables.entry(write.table).or_insert([0; ENTRIES])[write.index] = write.entry;
        }
        memory
    }

    fn bytes(&self) -> Vec<(u64, [u64; ENTRIES])> {
        self.tables.iter().filter(|(_, table)| table.iter().any(|e| *e != 0)).map(|(a, t)| (*a, *t)).collect()
    }
}

impl TableMemory for Memory {
    fn read(&self, table: PhysAddr, index: usize) -> u64 {
        self.reads.set(self.reads.get() + 1);
        self.tables.get(&table.as_u64()).map_or(0, |table| table[index])
    }

    fn write(&mut self, table: PhysAddr, index: usize, entry: u64) {
        self.history.push(Write { table: table.as_u64(), index, entry });
        self.tables.get_mut(&table.as_u64()).expect("a table in use")[index] = entry;
    }

    fn alloc(&mut self) -> Option<PhysAddr> {
        let table = self.pool.pop()?;
        self.tables.insert(table, [0; ENTRIES]);
        Some(PhysAddr::known(table))
    }

    fn free(&mut self, table: PhysAddr) {
        let old = self.tables.remove(&table.as_u64()).expect("a table in use");
        assert!(old.iter().all(|entry| *entry == 0), "a table returns empty");
        self.pool.push(table.as_u64());
    }
}

/// Small generator of numbers; the same ones for the same seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn guest() -> GuestTable {
    GuestTable::new(ROOT, PageSize::Size1G, 0)
}

fn gpa(address: u64) -> GuestPhysAddr {
    GuestPhysAddr::known(address)
}

/// A block whose memory is at the same distance from its address everywhere.
fn block(address: u64, bits: u8) -> Block {
    Block { address, frame: PhysAddr::known(address + 0x100_0000_0000), bits }
}
