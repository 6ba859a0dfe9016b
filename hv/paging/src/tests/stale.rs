// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CPUs may still hold: a flush that is left out is found, one that is done satisfies the
//! model.

use addr::{PageSize, PhysAddr, PhysRange};

use super::checking::{Checker, Held};
use super::{Memory, Numbers, ROOT, block, gpa, guest};
use crate::entry::{Entry, index_of, level_bits};
use crate::{GuestTable, Scope, TableMemory};

const SPACE: u64 = 1;
const CPUS: usize = 3;

/// A CPU reads an address: it may now hold the translation and each table on the way.
fn access(checker: &mut Checker<256>, cpu: usize, memory: &Memory, address: u64) {
    let Some(mapping) = guest().translate(memory, gpa(address)) else { return };
    let mut table = ROOT;
    for level in (1..=4).rev() {
        let found = Entry(memory.read(table, index_of(address, level)));
        let bytes = 1 << level_bits(level);
        let leaf = found.is_leaf(level);
        let size = if leaf { bytes } else { 4096 };
        checker.fill(Held {
            cpu,
            space: SPACE,
            address: address & !(bytes - 1),
            bytes,
            memory: PhysRange::new(found.address(), size).unwrap(),
            writable: leaf && mapping.perms.write,
        });
        if leaf {
            return;
        }
        table = found.address();
    }
}

fn flush_all(checker: &mut Checker<256>, scope: Scope) {
    for cpu in 0..CPUS {
        checker.flush(cpu, SPACE, scope);
    }
}

fn mapped() -> (Memory, Checker<256>) {
    let mut memory = Memory::with_tables(16);
    guest().map(&mut memory, block(0x20_0000, 21)).unwrap();
    let mut checker = Checker::new();
    access(&mut checker, 2, &memory, 0x20_3000);
    (memory, checker)
}

fn frame() -> PhysRange {
    PhysRange::new(block(0x20_0000, 21).frame, 1 << 21).unwrap()
}

#[test]
fn reuse_after_an_unmap_without_a_flush_is_found() {
    let (mut memory, checker) = mapped();
    guest().unmap(gpa(0x20_0000), 21).finish(&mut memory, |_| { /* forgotten */ });
    assert_eq!(checker.reuse(frame()).unwrap_err().cpu, 2);
}

#[test]
fn reuse_after_a_flush_of_one_cpu_only_is_found() {
    let (mut memory, mut checker) = mapped();
    guest().unmap(gpa(0x20_0000), 21).finish(&mut memory, |scope| checker.flush(0, SPACE, scope));
    assert!(checker.reuse(frame()).is_err());
}

#[test]
fn reuse_after_the_flush_is_sound() {
    let (mut memory, mut checker) = mapped();
    guest().unmap(gpa(0x20_0000), 21).finish(&mut memory, |scope| flush_all(&mut checker, scope));
    assert_eq!(checker.reuse(frame()), Ok(()));
}

#[test]
fn a_seal_relied_on_without_a_flush_is_found() {
    let (mut memory, mut checker) = mapped();
    let mut table = guest();
    let flush = table.seal(&mut memory);
    assert!(checker.rely_on_seal(SPACE).is_err());
    flush.spend(&mut memory, |scope| flush_all(&mut checker, scope));
    assert_eq!(checker.rely_on_seal(SPACE), Ok(()));
}

#[test]
fn an_overflow_is_counted_and_reports_nothing_false() {
    let mut checker = Checker::<2>::new();
    for i in 0..5 {
        let memory = PhysRange::new(PhysAddr::known(i << 12), 4096).unwrap();
        checker.fill(Held { cpu: 0, space: 1, address: i << 12, bytes: 4096, memory, writable: false });
    }
    assert_eq!(checker.lost(), 3);
    checker.flush(0, 1, Scope::Space);
    assert_eq!(checker.reuse(PhysRange::new(PhysAddr::ZERO, 1 << 20).unwrap()), Ok(()));
}

/// Tables of the pool, too, are used anew only when no CPU may walk them any more.
#[test]
fn random_life_of_a_guest_leaves_nothing_stale_where_memory_is_reused() {
    let mut numbers = Numbers(77);
    let mut memory = Memory::with_tables(40);
    let mut checker = Checker::<256>::new();
    let mut table = GuestTable::new(ROOT, PageSize::Size2M, 0);
    let mut blocks = std::vec::Vec::new();
    for _ in 0..3000 {
        let address = numbers.below(32) << 21;
        match numbers.below(10) {
            0..3 => {
                let pool: std::vec::Vec<u64> = memory.pool.clone();
                if table.map(&mut memory, block(address, 21)).is_ok() {
                    assert_eq!(
                        checker.reuse(PhysRange::new(block(address, 21).frame, 1 << 21).unwrap()),
                        Ok(())
                    );
                    blocks.push(address);
                }
                for taken in pool.iter().filter(|t| !memory.pool.contains(t)) {
                    assert_eq!(checker.reuse(PhysRange::new(PhysAddr::known(*taken), 4096).unwrap()), Ok(()));
                }
            }
            3 if !blocks.is_empty() => {
                let address = blocks.swap_remove(numbers.below(blocks.len() as u64) as usize);
                table.unmap(gpa(address), 21).finish(&mut memory, |scope| flush_all(&mut checker, scope));
            }
            4 => {
                table.seal(&mut memory).spend(&mut memory, |scope| flush_all(&mut checker, scope));
                assert_eq!(checker.rely_on_seal(SPACE), Ok(()));
            }
            5..8 => {
                let _ = table.unseal(&mut memory, gpa(address + (numbers.below(512) << 12)));
            }
            _ => access(&mut checker, numbers.below(3) as usize, &memory, address + numbers.below(1 << 21)),
        }
    }
}
