// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random lives of VMs against a model that copies all memory at every checkpoint.

use std::collections::BTreeMap;
use std::vec::Vec;

use api::checkpoint::{Refusal, Reply, Request, Stage};

use super::{OPERATOR, Test, setups};
use crate::Loaded;

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % end
    }
}

const PAGES: [usize; 2] = [1300, 90];

/// What a VM was at each commit.
type Model = BTreeMap<u64, (usize, Vec<u64>)>;

fn life(seed: u64, slots: u32) {
    let mut numbers = Numbers(seed);
    let mut test = Test::new(&PAGES, 5, slots);
    let mut model = Model::new();
    for _ in 0..400 {
        let vm = numbers.below(2);
        match numbers.below(100) {
            0..60 => {
                for _ in 0..numbers.below(20) {
                    // Mostly near the beginning, so that pages are written again; zero now and
                    // then.
                    let page = numbers.below(PAGES[vm]).min(numbers.below(PAGES[vm]));
                    let number = numbers.below(40) as u64;
                    test.write(vm, page, number);
                }
            }
            60..66 if numbers.below(3) == 0 => drop(test.ask(vm as u64 + 1, Request::Begin)),
            60..66 => {
                let pages = test.pages(vm);
                match test.begin(vm, &[vm as u8; 5]) {
                    Ok(id) => drop(model.insert(id, (vm, pages))),
                    Err(Refusal::Busy | Refusal::QuotaExhausted | Refusal::StoreFull) => {}
                    Err(why) => panic!("{why:?}"),
                }
            }
            66..72 => restore(&mut test, &model, numbers.below(12)),
            72..76 => remove(&mut test, &mut model, numbers.below(12)),
            76 => assert_eq!(test.ask(vm as u64 + 1, Request::Attach), Reply::Done),
            77 => another_service(&mut test, &mut model),
            _ => (0..numbers.below(30)).for_each(|_| test.service.step(&mut test.world)),
        }
        let info = test.store();
        assert!(info.used <= info.pages && info.used <= info.referenced);
    }
    test.finish();
    for id in model.keys() {
        test.ask(OPERATOR, Request::Remove { id: *id });
    }
    test.ask(1, Request::Attach);
    test.ask(2, Request::Attach);
    let info = test.store();
    assert_eq!((info.used, info.referenced), (0, 0), "every slot came back");
}

/// Whatever is under way, what is complete is there afterwards, and no more.
fn another_service(test: &mut Test, model: &mut Model) {
    model.retain(|id, _| is_complete(test, *id));
    let before: Vec<_> = model.keys().map(|id| test.info(*id)).collect();
    let loaded = test.again(setups(&PAGES, 5));
    assert_eq!(loaded, Loaded { taken: model.len(), refused: 0 });
    let after: Vec<_> = model.keys().map(|id| test.info(*id)).collect();
    assert_eq!(before, after);
}

fn is_complete(test: &mut Test, id: u64) -> bool {
    let Reply::List(list) = test.ask(OPERATOR, Request::List { from: id }) else { panic!("no list") };
    list.iter().any(|info| info.id == id && info.stage == Stage::Complete)
}

fn restore(test: &mut Test, model: &Model, which: usize) {
    let Some((id, (vm, pages))) = model.iter().nth(which) else { return };
    match test.ask(*vm as u64 + 1, Request::Restore { id: *id }) {
        Reply::Restored { .. } => {
            assert!(test.pages(*vm) == *pages, "checkpoint {id} of VM {vm} comes back as it was")
        }
        // It may have failed for want of room, or been dropped by an attach.
        Reply::Refused(Refusal::NotComplete | Refusal::NoCheckpoint) => {}
        other => panic!("{other:?}"),
    }
}

fn remove(test: &mut Test, model: &mut Model, which: usize) {
    let Some(id) = model.keys().nth(which).copied() else { return };
    match test.ask(OPERATOR, Request::Remove { id }) {
        Reply::Done | Reply::Refused(Refusal::NoCheckpoint) => drop(model.remove(&id)),
        Reply::Refused(Refusal::Busy) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn random_lives_agree_with_copies_of_all_memory() {
    for seed in 1..6 {
        life(0x9e37_79b9_7f4a_7c15 ^ seed << 20, 8000);
    }
}

#[test]
fn random_lives_in_a_store_that_is_too_small_lose_nothing() {
    for seed in 1..6 {
        life(0x6a09_e667_f3bc_c909 ^ seed << 20, 700);
    }
}

#[test]
fn a_list_comes_in_parts_in_the_order_of_ids() {
    let mut test = Test::new(&[10, 10], 20, 100);
    for _ in 0..20 {
        test.checkpoint(0, b"");
        test.checkpoint(1, b"");
    }
    let mut ids = Vec::new();
    while let Reply::List(list) =
        test.ask(OPERATOR, Request::List { from: ids.last().map_or(0, |id| id + 1) })
    {
        if list.is_empty() {
            break;
        }
        assert!(list.iter().all(|info| info.stage == Stage::Complete));
        ids.extend(list.iter().map(|info| info.id));
    }
    assert_eq!(ids, (1..41).collect::<Vec<u64>>());
}
