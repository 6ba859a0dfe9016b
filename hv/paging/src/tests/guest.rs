// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest tables: the seal, its way down, and the books.

use addr::PageSize;

use super::{Memory, ROOT, block, gpa, guest};
use crate::{BadEpoch, FaultStep, GuestTable, HarvestRequest, Progress, UnsealError};

const MIB: u64 = 1 << 20;

fn sealed(memory: &mut Memory) -> GuestTable {
    let mut table = guest();
    table.seal(memory).spend(memory, |_| {});
    table
}

fn harvest(
    table: &GuestTable,
    memory: &mut Memory,
    epoch: u64,
    forget: bool,
    words: usize,
) -> std::vec::Vec<u64> {
    let mut pages = std::vec::Vec::new();
    let mut from = 0;
    loop {
        let mut out = std::vec![!0; words];
        let request = HarvestRequest { from: gpa(from), end: GuestTable::END, epoch, forget };
        let progress = table.harvest(memory, request, &mut out).unwrap();
        for page in 0..words as u64 * 64 {
            if out[(page / 64) as usize] >> (page % 64) & 1 != 0 {
                pages.push((progress.first >> 12) + page);
            }
        }
        if !progress.more {
            return pages;
        }
        assert!(progress.next > from);
        from = progress.next;
    }
}

#[test]
fn a_seal_writes_one_entry_per_used_entry_of_the_root() {
    let mut memory = Memory::with_tables(20);
    for i in 0..3 {
        guest().map(&mut memory, block(i << 39, 30)).unwrap();
    }
    memory.history.clear();
    let table = sealed(&mut memory);
    assert_eq!(memory.history.len(), 3);
    assert!(memory.history.iter().all(|write| write.table == ROOT.as_u64()));
    assert_eq!(table.epoch(), 1);
    assert!(!table.is_writable(&memory, gpa(0)));
}

#[test]
fn a_fault_goes_down_one_level_per_step_and_ends_at_one_page() {
    let mut memory = Memory::with_tables(8);
    guest().map(&mut memory, block(0, 30)).unwrap();
    guest().map(&mut memory, block(1 << 30, 30)).unwrap();
    let table = sealed(&mut memory);
    let page = gpa(0x1234_5000);
    for _ in 0..3 {
        memory.history.clear();
        assert_eq!(table.write_fault(&mut memory, gpa(0x1234_5678)), FaultStep::PushedDown);
        assert!(memory.history.len() <= 513);
    }
    assert_eq!(table.write_fault(&mut memory, gpa(0x1234_5678)), FaultStep::Sealed(page));
    table.unseal(&mut memory, page).unwrap();
    assert_eq!(table.write_fault(&mut memory, page), FaultStep::AlreadyWritable);
    assert!(table.is_writable(&memory, page));
    assert!(!table.is_writable(&memory, gpa(0x1234_4000)));
    assert!(!table.is_writable(&memory, gpa(0x1234_6000)));
    assert!(!table.is_writable(&memory, gpa(1 << 30)));
    assert_eq!(
        table.translate(&memory, gpa(1 << 30)).unwrap().size,
        PageSize::Size1G,
        "only what is written splits"
    );
    assert_eq!(table.unseal(&mut memory, page), Ok(()));
}

#[test]
fn an_exhausted_pool_leaves_the_page_sealed_and_the_fault_repeatable() {
    let mut memory = Memory::with_tables(2);
    guest().map(&mut memory, block(0, 21)).unwrap();
    let table = sealed(&mut memory);
    assert_eq!(table.unseal(&mut memory, gpa(0)), Err(UnsealError::TablesExhausted));
    assert!(!table.is_writable(&memory, gpa(0)));
    memory.pool.push(0x90_0000);
    assert_eq!(table.unseal(&mut memory, gpa(0)), Ok(()));
}

#[test]
fn nothing_mapped_is_no_sealed_page() {
    let mut memory = Memory::with_tables(3);
    assert_eq!(guest().write_fault(&mut memory, gpa(0)), FaultStep::NotMapped);
    guest().map(&mut memory, block(0, 12)).unwrap();
    assert_eq!(guest().unseal(&mut memory, gpa(0x1000)), Err(UnsealError::NotMapped));
}

#[test]
fn a_read_only_page_stays_so() {
    let mut memory = Memory::with_tables(3);
    guest().map_read_only(&mut memory, block(0x1000, 12)).unwrap();
    assert_eq!(guest().write_fault(&mut memory, gpa(0x1000)), FaultStep::ReadOnly);
    let table = sealed(&mut memory);
    assert_eq!(table.unseal(&mut memory, gpa(0x1000)), Err(UnsealError::ReadOnly));
    assert!(!table.is_writable(&memory, gpa(0x1000)));
}

#[test]
fn what_is_mapped_counts_as_written() {
    let mut memory = Memory::with_tables(3);
    guest().map(&mut memory, block(2 * MIB, 21)).unwrap();
    assert_eq!(harvest(&guest(), &mut memory, 0, false, 100), (512..1024).collect::<std::vec::Vec<_>>());
}

#[test]
fn the_books_of_an_epoch_have_exactly_what_was_unsealed_in_it() {
    let mut memory = Memory::with_tables(8);
    guest().map(&mut memory, block(0, 22)).unwrap();
    let mut table = sealed(&mut memory);
    for words in [1, 3, 8, 400] {
        harvest(&table, &mut memory, table.epoch() - 1, true, words);
        table.unseal(&mut memory, gpa(0x5000)).unwrap();
        table.unseal(&mut memory, gpa(3 * MIB)).unwrap();
        assert_eq!(harvest(&table, &mut memory, table.epoch(), false, words), [5, 768]);
        table.seal(&mut memory).spend(&mut memory, |_| {});
        table.unseal(&mut memory, gpa(0x7000)).unwrap();
        assert_eq!(harvest(&table, &mut memory, table.epoch() - 1, false, words), [5, 768]);
        assert_eq!(harvest(&table, &mut memory, table.epoch() - 1, true, words), [5, 768]);
        assert_eq!(harvest(&table, &mut memory, table.epoch() - 1, true, words), []);
        assert_eq!(harvest(&table, &mut memory, table.epoch(), false, words), [7]);
        table.seal(&mut memory).spend(&mut memory, |_| {});
    }
}

#[test]
fn a_page_not_forgotten_is_reported_again_rather_than_missed() {
    let mut memory = Memory::with_tables(8);
    guest().map(&mut memory, block(0, 12)).unwrap();
    let mut table = sealed(&mut memory);
    table.seal(&mut memory).spend(&mut memory, |_| {});
    assert_eq!(harvest(&table, &mut memory, 2, false, 4), [0]);
}

#[test]
fn a_large_page_is_forgotten_only_when_all_of_it_was_read() {
    let mut memory = Memory::with_tables(3);
    guest().map(&mut memory, block(0, 21)).unwrap();
    let table = sealed(&mut memory);
    let mut out = [0; 4];
    let request = HarvestRequest { from: gpa(0), end: GuestTable::END, epoch: 0, forget: true };
    let progress = table.harvest(&mut memory, request, &mut out).unwrap();
    assert_eq!((progress, out), (Progress { first: 0, next: MIB, more: true, words: 4 }, [!0; 4]));
    assert_eq!(harvest(&table, &mut memory, 0, true, 8).len(), 512);
    assert_eq!(harvest(&table, &mut memory, 0, true, 8), []);
}

/// What one call covers, and the entries that it reads.
fn one_call(table: &GuestTable, memory: &mut Memory, from: u64, end: u64) -> (Progress, usize) {
    memory.reads.set(0);
    let request = HarvestRequest { from: gpa(from), end, epoch: table.epoch(), forget: false };
    let progress = table.harvest(memory, request, &mut [0; 4]).unwrap();
    (progress, memory.reads.get())
}

#[test]
fn a_harvest_reads_each_table_up_to_its_end_once() {
    let mut memory = Memory::with_tables(8);
    guest().map(&mut memory, block(0, 26)).unwrap();
    let table = sealed(&mut memory);
    table.unseal(&mut memory, gpa(33 * MIB)).unwrap();
    let (progress, reads) = one_call(&table, &mut memory, 0, 64 * MIB);
    assert_eq!(progress, Progress { first: 33 * MIB, next: 64 * MIB, more: false, words: 1 });
    assert!(reads <= 32 + 512 + 4 * 3, "{reads}");
    let (progress, reads) = one_call(&table, &mut memory, 64 * MIB, GuestTable::END);
    assert!(!progress.more && reads <= 3 * 512 + 4 * 4, "{reads}");
}

#[test]
fn a_harvest_that_finds_nothing_in_many_tables_ends_in_between() {
    let mut memory = Memory::with_tables(50);
    let (pages, end) = (40_u64 << 9, 80 * MIB);
    for page in 0..pages {
        guest().map(&mut memory, block(page << 12, 12)).unwrap();
    }
    let table = sealed(&mut memory);
    table.unseal(&mut memory, gpa((pages - 1) << 12)).unwrap();
    let (progress, reads) = one_call(&table, &mut memory, 0, end);
    assert!(progress.more && progress.words == 0 && progress.next.is_multiple_of(1 << 18));
    assert!((1 << 14..(1 << 14) + 64 + 40 * 4).contains(&reads), "{reads}");
    assert_eq!(harvest(&table, &mut memory, table.epoch(), false, 4), [pages - 1]);
}

#[test]
fn what_lies_before_the_first_written_page_is_not_in_the_bitmap() {
    let mut memory = Memory::with_tables(8);
    guest().map(&mut memory, block(0, 25)).unwrap();
    let table = sealed(&mut memory);
    table.unseal(&mut memory, gpa(20 * MIB + 0x7000)).unwrap();
    table.unseal(&mut memory, gpa(30 * MIB)).unwrap();
    assert_eq!(harvest(&table, &mut memory, table.epoch(), false, 1), [20 * 256 + 7, 30 * 256]);
    // A bitmap begins where the call does, if that is in the middle of a word.
    let (progress, _) = one_call(&table, &mut memory, 20 * MIB + 0x3000, 32 * MIB);
    assert_eq!(progress.first, 20 * MIB + 0x3000);
}

#[test]
fn the_books_have_two_epochs_and_only_the_older_can_be_forgotten() {
    let mut memory = Memory::with_tables(3);
    let table = GuestTable::new(ROOT, PageSize::Size1G, 7);
    for (epoch, forget) in [(5, false), (8, false), (7, true), (u64::MAX, false)] {
        let request = HarvestRequest { from: gpa(0), end: GuestTable::END, epoch, forget };
        assert_eq!(table.harvest(&mut memory, request, &mut [0]), Err(BadEpoch));
    }
    for (epoch, forget) in [(7, false), (6, false), (6, true)] {
        let request = HarvestRequest { from: gpa(0), end: GuestTable::END, epoch, forget };
        assert!(table.harvest(&mut memory, request, &mut [0]).is_ok());
    }
}

#[test]
fn splitting_keeps_the_books_of_a_large_page() {
    let mut memory = Memory::with_tables(5);
    guest().map(&mut memory, block(0, 30)).unwrap();
    let table = sealed(&mut memory);
    table.unseal(&mut memory, gpa(0)).unwrap();
    assert_eq!(harvest(&table, &mut memory, 0, false, 476).len(), 1 << 18);
    assert_eq!(harvest(&table, &mut memory, 1, false, 476), [0]);
}

#[test]
fn a_block_split_by_the_seal_is_unmapped_in_bounded_steps() {
    let mut memory = Memory::with_tables(40);
    guest().map(&mut memory, block(0, 30)).unwrap();
    guest().map(&mut memory, block(1 << 30, 12)).unwrap();
    let free = memory.pool.len();
    let table = sealed(&mut memory);
    for i in 0..32 {
        table.unseal(&mut memory, gpa(i * 16 * MIB + 0x3000)).unwrap();
    }
    let mut unmap = table.unmap(gpa(0), 30);
    loop {
        memory.history.clear();
        let step = unmap.step(&mut memory);
        assert!(memory.history.len() <= 512 + 6);
        step.flush.spend(&mut memory, |_| {});
        if !step.more {
            break;
        }
    }
    assert_eq!(memory.pool.len(), free, "the root's branch is still used by the second block");
    assert_eq!(table.translate(&memory, gpa(0x3000)), None);
    assert!(table.translate(&memory, gpa(1 << 30)).is_some());
}
