// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host tables: what is mapped, what is refused, and that refusal changes nothing.

use addr::{PageSize, PhysAddr, VirtAddr};

use super::{Memory, ROOT, block};
use crate::{Block, HostTable, MapError, Perms, Scope, TableMemory};

const TABLE: HostTable = HostTable::new(ROOT, PageSize::Size1G);

fn at(address: u64) -> VirtAddr {
    VirtAddr::known(address)
}

#[test]
fn a_block_is_mapped_by_the_largest_pages_that_fit() {
    for (bits, size) in
        [(12, PageSize::Size4K), (20, PageSize::Size4K), (21, PageSize::Size2M), (30, PageSize::Size1G)]
    {
        let mut memory = Memory::with_tables(3);
        TABLE.map(&mut memory, block(0x4000_0000, bits), Perms::READ_WRITE).unwrap();
        let last = 0x4000_0000 + (1 << bits) - 1;
        let mapping = TABLE.translate(&memory, at(last)).unwrap();
        assert_eq!((mapping.size, mapping.perms), (size, Perms::READ_WRITE));
        assert_eq!(mapping.pa.as_u64(), last + 0x100_0000_0000);
        assert_eq!(TABLE.translate(&memory, at(last + 1)), None);
    }
}

#[test]
fn a_processor_without_large_pages_gets_small_ones() {
    let mut memory = Memory::with_tables(3);
    let table = HostTable::new(ROOT, PageSize::Size2M);
    table.map(&mut memory, block(0x4000_0000, 30), Perms::READ).unwrap();
    assert_eq!(table.translate(&memory, at(0x7fff_ffff)).unwrap().size, PageSize::Size2M);
}

#[test]
fn a_refusal_changes_nothing() {
    let mut memory = Memory::with_tables(4);
    TABLE.map(&mut memory, block(0x20_3000, 12), Perms::READ).unwrap();
    let (before, pool) = (memory.bytes(), memory.pool.len());
    let refused = [
        (block(0x20_3000, 12), MapError::AlreadyMapped),
        (block(0x20_0000, 16), MapError::AlreadyMapped),
        (block(0x20_0000, 21), MapError::AlreadyMapped),
        (block(0, 30), MapError::AlreadyMapped),
        (block(0x20_0000, 11), MapError::Misaligned),
        (block(0, 31), MapError::Misaligned),
        (block(0, 255), MapError::Misaligned),
        (block(0x1000, 13), MapError::Misaligned),
        (Block { address: 0, frame: PhysAddr::known(0x1000), bits: 13 }, MapError::Misaligned),
        (block(1 << 47, 12), MapError::OutOfRange),
        (block(1 << 40, 12), MapError::TablesExhausted),
    ];
    for (block, error) in refused {
        assert_eq!(TABLE.map(&mut memory, block, Perms::ALL), Err(error), "{block:?}");
        assert_eq!((memory.bytes(), memory.pool.len()), (before.clone(), pool));
    }
}

#[test]
fn a_page_within_a_large_page_is_already_mapped() {
    let mut memory = Memory::with_tables(3);
    TABLE.map(&mut memory, block(0, 30), Perms::READ).unwrap();
    assert_eq!(TABLE.map(&mut memory, block(0x5000, 12), Perms::READ), Err(MapError::AlreadyMapped));
}

#[test]
fn unmapping_returns_every_table_after_the_flush() {
    let mut memory = Memory::with_tables(3);
    TABLE.map(&mut memory, block(0x1_0000, 16), Perms::READ_EXECUTE).unwrap();
    let mut unmap = TABLE.unmap(at(0x1_0000), 16);
    let step = unmap.step(&mut memory);
    assert!(!step.more);
    assert_eq!(memory.pool.len(), 0, "a processor may still walk the tables");
    let mut flushed = None;
    step.flush.spend(&mut memory, |scope| flushed = Some(scope));
    assert_eq!(flushed, Some(Scope::Range { address: 0x1_0000, bytes: 0x1_0000 }));
    assert_eq!(memory.pool.len(), 3);
    assert_eq!(memory.tables[&ROOT.as_u64()], [0; 512]);
}

#[test]
fn unmapping_leaves_the_neighbours() {
    let mut memory = Memory::with_tables(3);
    TABLE.map(&mut memory, block(0x1000, 12), Perms::READ).unwrap();
    TABLE.map(&mut memory, block(0x2000, 12), Perms::READ).unwrap();
    TABLE.unmap(at(0x1000), 12).finish(&mut memory, |_| {});
    assert_eq!(TABLE.translate(&memory, at(0x1000)), None);
    assert!(TABLE.translate(&memory, at(0x2000)).is_some());
    assert_eq!(memory.pool.len(), 0);
}

#[test]
fn the_kernel_half_is_never_read_or_written() {
    let mut memory = Memory::with_tables(3);
    for index in 256..512 {
        memory.write(ROOT, index, 0xdead_0000 | index as u64);
    }
    let kernel = memory.tables[&ROOT.as_u64()][256..].to_vec();
    TABLE.map(&mut memory, block((1 << 47) - 0x1000, 12), Perms::ALL).unwrap();
    assert_eq!(TABLE.translate(&memory, at(!0 << 47)), None);
    TABLE.unmap(at((1 << 47) - 0x1000), 12).finish(&mut memory, |_| {});
    assert_eq!(memory.tables[&ROOT.as_u64()][256..], kernel[..]);
}

#[test]
#[should_panic(expected = "dropped unspent")]
fn a_flush_that_is_dropped_unspent_stops_a_checking_build() {
    let mut memory = Memory::with_tables(3);
    TABLE.map(&mut memory, block(0x1000, 12), Perms::READ).unwrap();
    drop(TABLE.unmap(at(0x1000), 12).step(&mut memory));
}
