// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store that another service finds: after a restart, or under another hypervisor.

use std::vec::Vec;

use api::checkpoint::{Info, Refusal, Reply, Request, Stage};

use super::{OPERATOR, Test, setups};
use crate::Loaded;
use crate::store::FIRST;

const PAGES: [usize; 2] = [1500, 90];

fn list(test: &mut Test) -> Vec<Info> {
    let Reply::List(list) = test.ask(OPERATOR, Request::List { from: 0 }) else { panic!("no list") };
    list
}

/// Two VMs, two checkpoints of the first one, one of the second; and what memory was at each.
fn two_vms() -> (Test, [(usize, u64, Vec<u64>); 3]) {
    let mut test = Test::new(&PAGES, 3, 4000);
    for page in 0..1500 {
        test.write(0, page, page as u64 % 900);
    }
    test.write(1, 80, 8);
    let first = (0, test.checkpoint(0, &[7; 9000]), test.pages(0));
    let second = (1, test.checkpoint(1, b"second"), test.pages(1));
    test.write(0, 3, 3333);
    let third = (0, test.checkpoint(0, b"third"), test.pages(0));
    (test, [first, second, third])
}

#[test]
fn everything_that_is_known_of_a_checkpoint_is_found_again() {
    let (mut test, made) = two_vms();
    let (before, store) = (list(&mut test), test.store());
    for page in 0..90 {
        test.write(0, page, 1);
        test.write(1, page, 1);
    }
    for _ in 0..3 {
        assert_eq!(test.again(setups(&PAGES, 3)), Loaded { taken: 3, refused: 0 });
        assert_eq!((list(&mut test), test.store()), (before.clone(), store));
        assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 1, total: 3 });
        for (vm, id, pages) in &made {
            test.restore(*vm, *id);
            assert_eq!(test.pages(*vm), *pages);
        }
    }
    assert_eq!(test.state(0, made[0].1), [7; 9000]);
    let next = test.checkpoint(0, b"");
    assert!(next > made[2].1 && test.info(next).parent == Some(made[2].1));
    for (_, id, _) in &made {
        assert_eq!(test.ask(OPERATOR, Request::Remove { id: *id }), Reply::Done);
    }
    assert_eq!(test.again(setups(&PAGES, 3)), Loaded { taken: 1, refused: 0 });
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: next }), Reply::Done);
    assert_eq!((test.store().used, test.store().referenced), (0, 0), "every slot came back");
}

#[test]
fn what_was_not_complete_is_gone_and_its_id_is_not_used_again() {
    let (mut test, _) = two_vms();
    let before = list(&mut test);
    test.write(0, 7, 7);
    let lost = test.begin(0, b"").unwrap();
    test.service.step(&mut test.world);
    assert_eq!(test.again(setups(&PAGES, 3)), Loaded { taken: 3, refused: 0 });
    assert!(!test.world.guests[0].pager && !test.service.has_work());
    assert_eq!(list(&mut test), before);
    assert!(test.checkpoint(1, b"") > lost);
}

#[test]
fn a_store_in_use_can_be_left_at_any_step() {
    let mut steps = 0;
    loop {
        let (mut test, made) = two_vms();
        let new = test.begin(1, b"").unwrap();
        // The state of another one is not there yet.
        assert!(matches!(test.ask(1, Request::Begin), Reply::Begun { .. }));
        (0..steps).for_each(|_| test.service.step(&mut test.world));
        let done = test.info(new).stage == Stage::Complete;
        let loaded = test.again(setups(&PAGES, 3));
        assert_eq!(loaded, Loaded { taken: 3 + usize::from(done), refused: 0 });
        for (vm, id, pages) in &made {
            test.restore(*vm, *id);
            assert_eq!(test.pages(*vm), *pages);
        }
        if done {
            assert_eq!(test.info(new).stage, Stage::Complete);
            break;
        }
        steps += 1;
    }
    assert!(steps > 3);
}

#[test]
fn a_service_at_rest_begins_nothing_and_can_go_on() {
    let (mut test, made) = two_vms();
    assert_eq!(test.ask(1, Request::Rest(true)), Reply::Denied);
    let new = test.begin(0, b"").unwrap();
    assert_eq!(test.ask(OPERATOR, Request::Rest(true)), Reply::Refused(Refusal::Busy));
    test.finish();
    let Reply::Begun { id: open } = test.ask(2, Request::Begin) else { panic!() };
    test.finish();
    assert_eq!(
        test.ask(OPERATOR, Request::Rest(true)),
        Reply::Refused(Refusal::Busy),
        "its state is to come"
    );
    assert_eq!(test.ask(2, Request::Commit { id: open }), Reply::Done);
    test.finish();
    assert_eq!(test.ask(OPERATOR, Request::Rest(true)), Reply::Done);
    assert_eq!(test.begin(1, b""), Err(Refusal::Busy));
    assert_eq!(test.ask(1, Request::Restore { id: new }), Reply::Refused(Refusal::Busy));
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: new }), Reply::Done);
    assert_eq!(test.ask(OPERATOR, Request::Rest(false)), Reply::Done);
    test.restore(0, made[0].1);
    assert!(test.begin(1, b"").is_ok());
}

#[test]
fn after_a_rest_ids_go_on_where_they_were() {
    let (mut test, made) = two_vms();
    assert_eq!(test.ask(OPERATOR, Request::Rest(true)), Reply::Done);
    assert_eq!(test.again(setups(&PAGES, 3)).taken, 3);
    assert_eq!(test.checkpoint(1, b""), made[2].1 + 1);
}

#[test]
fn checkpoints_of_vms_that_are_not_here_or_are_made_otherwise_are_refused() {
    let (mut test, made) = two_vms();
    let mut vms = setups(&PAGES, 3);
    vms[0].pages += 1;
    assert_eq!(test.again(vms), Loaded { taken: 1, refused: 2 });
    assert_eq!(list(&mut test).iter().map(|info| info.id).collect::<Vec<_>>(), [made[1].1]);
    let mut vms = setups(&PAGES, 3);
    vms[1].name.push('x');
    assert_eq!(test.again(vms), Loaded { taken: 0, refused: 1 });
    assert_eq!((test.store().used, test.store().referenced), (0, 0));
}

#[test]
fn vms_in_another_order_and_with_less_quota_find_theirs() {
    let (mut test, made) = two_vms();
    let mut vms = setups(&PAGES, 1);
    vms.swap(0, 1);
    test.world.guests.swap(0, 1);
    assert_eq!(test.again(vms), Loaded { taken: 3, refused: 0 });
    assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 0, total: 1 });
    assert_eq!(test.begin(0, b""), Err(Refusal::QuotaExhausted));
    let Reply::Restored { .. } = test.ask(1, Request::Restore { id: made[0].1 }) else { panic!() };
    assert_eq!(test.pages(1), made[0].2);
}

#[test]
fn any_altered_bit_of_the_catalogue_loses_a_whole_checkpoint_or_all_and_no_more() {
    let (mut test, made) = two_vms();
    let Test { world, .. } = &mut test;
    let store = world.store.clone();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut losses = [0; 4];
    for _ in 0..100 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (seed >> 33) as usize % (4096 * 8);
        // The roots and the slots at the end of what is used: records are written last.
        let used = store.iter().rposition(|page| page.iter().any(|byte| *byte != 0)).unwrap();
        let slot = [1, 2, used, used - 1, used - 2][(seed >> 20) as usize % 5];
        test.world.store = store.clone();
        test.world.store[slot][bit / 8] ^= 1 << (bit % 8);
        let loaded = test.again(setups(&PAGES, 3));
        losses[3 - loaded.taken] += 1;
        for info in list(&mut test) {
            assert!(made.iter().any(|(_, id, _)| *id == info.id));
        }
    }
    assert!(losses[0] > 0 && losses[1] > 0 && losses[3] > 0, "{losses:?}");
}

#[test]
fn a_store_of_nothing_but_noise_has_no_checkpoints() {
    let mut test = Test::new(&PAGES, 3, 100);
    let mut seed = 1_u64;
    for byte in test.world.store.iter_mut().skip(1).flatten() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (seed >> 56) as u8;
    }
    assert_eq!(test.again(setups(&PAGES, 3)), Loaded::default());
    test.checkpoint(1, b"");
    assert_eq!(test.again(setups(&PAGES, 3)).taken, 1);
}

#[test]
fn a_store_that_is_too_small_for_anything_does_no_harm() {
    for slots in 1..=FIRST {
        let mut test = Test::new(&PAGES, 3, slots);
        assert_eq!(test.begin(0, b""), Err(Refusal::StoreFull));
        assert_eq!(test.ask(OPERATOR, Request::Rest(true)), Reply::Done);
        assert_eq!(test.again(setups(&PAGES, 3)), Loaded::default());
    }
}
