// SPDX-License-Identifier: MIT OR Apache-2.0
//! A walker that comes between any two writes sees the old or the new mapping, never a broken one.

use super::{Memory, block, gpa, guest};
use crate::{GuestTable, Mapping};

const SAMPLES: [u64; 9] =
    [0, 0x1000, 0x5000, 0x1f_f000, 0x20_0000, 0x3f_f000, 0x4000_0000, 0x7fff_f000, 0x8000_0000];

/// Do something and check what a walker could have seen at each of its writes.
fn watched(memory: &mut Memory, act: impl FnOnce(&mut Memory)) {
    let before = memory.clone();
    memory.history.clear();
    act(memory);
    let look = |memory: &Memory, address| -> Option<Mapping> { guest().translate(memory, gpa(address)) };
    for steps in 0..=memory.history.len() {
        let between = Memory::replay(&before, &memory.history[..steps]);
        for address in SAMPLES {
            let (old, seen, new) = (look(&before, address), look(&between, address), look(memory, address));
            // A split changes the size of the page around an address: what counts is where it leads
            // and what is allowed.
            let key = |m: Option<Mapping>| m.map(|m| (m.pa, m.perms.write));
            assert!(
                key(seen) == key(old) || key(seen) == key(new),
                "{address:#x} after {steps} writes: {seen:?}"
            );
        }
    }
}

fn seal(memory: &mut Memory) -> GuestTable {
    let mut table = guest();
    watched(memory, |memory| table.seal(memory).spend(memory, |_| {}));
    table
}

#[test]
fn mapping_appears_whole_branch_by_branch() {
    let mut memory = Memory::with_tables(10);
    watched(&mut memory, |memory| guest().map(memory, block(0x1000, 12)).unwrap());
    watched(&mut memory, |memory| guest().map(memory, block(0x4000_0000, 30)).unwrap());
    watched(&mut memory, |memory| guest().map(memory, block(0x20_0000, 21)).unwrap());
}

#[test]
fn pushing_the_seal_down_opens_nothing_on_the_way() {
    for bits in [12, 21, 30] {
        let mut memory = Memory::with_tables(10);
        guest().map(&mut memory, block(0, bits)).unwrap();
        guest().map(&mut memory, block(0x4000_0000, 30)).unwrap();
        let table = seal(&mut memory);
        for page in [0, 0x5000] {
            watched(&mut memory, |memory| {
                let _ = table.unseal(memory, gpa(page));
            });
        }
        let mut again = table;
        watched(&mut memory, |memory| again.seal(memory).spend(memory, |_| {}));
        watched(&mut memory, |memory| again.unseal(memory, gpa(0)).unwrap());
    }
}

#[test]
fn unmapping_takes_pages_away_and_shows_no_others() {
    let mut memory = Memory::with_tables(10);
    guest().map(&mut memory, block(0, 22)).unwrap();
    let table = seal(&mut memory);
    table.unseal(&mut memory, gpa(0x1000)).unwrap();
    watched(&mut memory, |memory| table.unmap(gpa(0), 22).finish(memory, |_| {}));
}
