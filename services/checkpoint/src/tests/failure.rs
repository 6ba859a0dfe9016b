// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fails leaves the VM running, and nothing else changed.

use api::checkpoint::{Refusal, Reply, Request, Stage};

use super::{OPERATOR, Test};
use crate::store::FIRST;

/// A VM whose store has room for 50 pages, a leaf and a record, 30 of which its first checkpoint
/// takes.
fn nearly_full() -> (Test, u64) {
    let mut test = Test::new(&[1000], 4, FIRST + 52);
    for page in 0..30 {
        test.write(0, page, 5 + page as u64);
    }
    let id = test.checkpoint(0, b"");
    for page in 0..40 {
        test.write(0, page, 1000 + page as u64);
    }
    (test, id)
}

#[test]
fn a_full_store_fails_the_checkpoint_and_nothing_else() {
    let (mut test, first) = nearly_full();
    let second = test.begin(0, b"").unwrap();
    let now = test.pages(0);
    test.finish();
    assert_eq!(test.info(second).stage, Stage::Failed(Refusal::StoreFull));
    assert!(!test.world.guests[0].pager);
    assert_eq!((test.pages(0), test.store().used), (now, 30 + 2));
    assert_eq!(test.ask(1, Request::Restore { id: second }), Reply::Refused(Refusal::NotComplete));
    assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 3, total: 4 });
    test.restore(0, first);
    assert_eq!(test.pages(0)[..30], (5..35).collect::<std::vec::Vec<_>>());
    assert_eq!(test.pages(0)[30..40], [0; 10]);
}

#[test]
fn a_writer_that_fills_the_store_goes_on() {
    let (mut test, first) = nearly_full();
    let second = test.begin(0, b"").unwrap();
    for page in 0..40 {
        test.write(0, page, 2000 + page as u64);
    }
    assert_eq!(test.info(second).stage, Stage::Failed(Refusal::StoreFull));
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: first }), Reply::Done);
    for page in 10..40 {
        test.write(0, page, 0);
    }
    let third = test.checkpoint(0, b"");
    let then = test.pages(0);
    assert_eq!(test.info(third).stage, Stage::Complete);
    test.write(0, 1, 1);
    test.restore(0, third);
    assert_eq!(test.pages(0), then);
}

#[test]
fn a_restore_that_waits_for_a_checkpoint_that_fails_is_refused() {
    let (mut test, first) = nearly_full();
    let second = test.begin(0, b"").unwrap();
    assert_eq!(test.ask(1, Request::Restore { id: second }), Reply::Refused(Refusal::NotComplete));
    let third = test.begin(0, b"").unwrap();
    test.restore(0, first);
    assert_eq!(test.info(third).stage, Stage::Failed(Refusal::StoreFull));
}

#[test]
fn one_vm_cannot_fill_the_store_of_another() {
    let mut test = Test::new(&[1000, 1000], 1, FIRST + 104);
    for page in 0..1000 {
        test.write(0, page, 1 + page as u64);
    }
    let greedy = test.checkpoint(0, b"");
    assert_eq!(test.info(greedy).stage, Stage::Failed(Refusal::StoreFull));
    for page in 0..50 {
        test.write(1, page, 1);
    }
    let modest = test.checkpoint(1, b"");
    assert_eq!(test.info(modest).stage, Stage::Complete);
}

#[test]
fn a_seal_that_is_refused_leaves_no_checkpoint() {
    let mut test = Test::new(&[100], 4, 1000);
    test.world.refuse = true;
    assert_eq!(test.ask(1, Request::Begin), Reply::Refused(Refusal::Core(4)));
    test.world.refuse = false;
    assert!(!test.service.has_work() && !test.world.guests[0].pager);
    assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 4, total: 4 });
    assert!(test.begin(0, b"").is_ok(), "it can be tried again");
}

#[test]
fn books_that_cannot_be_read_cost_time_but_miss_nothing() {
    let mut test = Test::new(&[700], 4, 1000);
    test.checkpoint(0, b"");
    test.write(0, 600, 6);
    let id = test.begin(0, b"").unwrap();
    test.world.refuse = true;
    test.service.step(&mut test.world);
    test.world.refuse = false;
    test.finish();
    test.write(0, 600, 7);
    test.restore(0, id);
    assert_eq!(test.pages(0)[600], 6);
}

#[test]
fn a_restore_that_the_core_refuses_says_so_and_can_be_repeated() {
    let mut test = Test::new(&[700], 4, 1000);
    test.write(0, 600, 6);
    let id = test.checkpoint(0, b"");
    test.write(0, 600, 7);
    test.world.refuse = true;
    assert_eq!(test.ask(1, Request::Restore { id }), Reply::Refused(Refusal::Core(4)));
    test.world.refuse = false;
    test.restore(0, id);
    assert_eq!(test.pages(0)[600], 6);
}

#[test]
fn a_store_without_room_for_the_record_fails_the_checkpoint() {
    // Room for the pages, and none for what is to be known of them.
    let mut test = Test::new(&[100], 4, FIRST + 20);
    for page in 0..20 {
        test.write(0, page, 5 + page as u64);
    }
    let id = test.checkpoint(0, b"");
    assert_eq!(test.info(id).stage, Stage::Failed(Refusal::StoreFull));
    assert_eq!(test.ask(1, Request::Attach), Reply::Done);
    assert_eq!(test.store().used, 0, "every slot came back");
    test.write(0, 0, 0);
    let id = test.checkpoint(0, b"");
    assert_eq!(
        test.info(id).stage,
        Stage::Failed(Refusal::StoreFull),
        "room for the leaf, and none for the record"
    );
    test.write(0, 1, 0);
    let id = test.checkpoint(0, b"");
    assert_eq!(test.info(id).stage, Stage::Complete);
}

/// A checkpoint and a restore, in which the core refuses the call with this number. Says whether
/// there was such a call.
fn with_a_refusal_at(number: u64) -> bool {
    let mut test = Test::new(&[700], 4, 1000);
    (0..40).for_each(|page| test.write(0, page * 17, 1 + page as u64));
    let (first, then) = (test.checkpoint(0, b""), test.pages(0));
    (0..40).for_each(|page| test.write(0, page * 13, 100 + page as u64));
    let now = test.pages(0);
    let at = test.world.calls + number;
    test.world.refuse_at = Some(at);
    let second = test.begin(0, b"state");
    test.finish();
    assert_eq!(test.pages(0), now, "a checkpoint changes nothing");
    if let Ok(id) = second
        && test.info(id).stage == Stage::Complete
        && test.ask(1, Request::Restore { id }) != Reply::Refused(Refusal::Core(4))
    {
        assert_eq!(test.pages(0), now);
    }
    let back = test.ask(1, Request::Restore { id: first });
    let reached = test.world.calls >= at;
    test.world.refuse_at = None;
    if let Reply::Refused(why) = back {
        assert_eq!(why, Refusal::Core(4));
        test.restore(0, first);
    }
    assert_eq!(test.pages(0), then);
    let third = test.checkpoint(0, b"");
    test.write(0, 5, 5);
    test.restore(0, third);
    assert_eq!(test.pages(0), then, "nothing that was written is missed afterwards");
    assert!(!test.world.guests[0].pager && !test.service.has_work());
    for id in first..=third {
        test.ask(OPERATOR, Request::Remove { id });
    }
    test.ask(1, Request::Attach);
    assert_eq!((test.store().used, test.store().referenced), (0, 0), "every slot came back");
    reached
}

#[test]
fn a_refusal_at_any_call_costs_that_checkpoint_or_restore_at_most() {
    let calls = (1..).take_while(|number| with_a_refusal_at(*number)).count();
    assert!(calls > 60, "{calls}");
}
