// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may do what, and when.

use std::vec;

use api::checkpoint::{MAX_PART, Refusal, Reply, Request, Stage};

use super::{OPERATOR, Test};

#[test]
fn a_vm_reaches_only_its_own_checkpoints() {
    let mut test = Test::new(&[100, 100], 4, 1000);
    let id = test.checkpoint(0, b"mine");
    for request in [Request::Restore { id }, Request::GetState { id, offset: 0 }, Request::Abort { id }] {
        assert_eq!(test.ask(2, request), Reply::Refused(Refusal::NoCheckpoint));
    }
    assert_eq!(test.ask(2, Request::List { from: 0 }), Reply::List(vec![]));
    let Reply::List(own) = test.ask(1, Request::List { from: 0 }) else { panic!() };
    assert_eq!(own.len(), 1);
}

#[test]
fn strangers_are_denied() {
    let mut test = Test::new(&[100], 4, 1000);
    for request in
        [Request::Begin, Request::List { from: 0 }, Request::Store, Request::Quota, Request::Attach]
    {
        assert_eq!(test.ask(9, request), Reply::Denied);
    }
    for request in [Request::Remove { id: 1 }, Request::Store] {
        assert_eq!(test.ask(1, request), Reply::Denied);
    }
    assert_eq!(test.ask(OPERATOR, Request::Begin), Reply::Denied);
    assert!(!test.service.sealed_write(9, 0, &mut test.world));
}

#[test]
fn the_quota_counts_what_is_there() {
    let mut test = Test::new(&[100], 2, 1000);
    let first = test.checkpoint(0, b"");
    test.checkpoint(0, b"");
    assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 0, total: 2 });
    assert_eq!(test.begin(0, b""), Err(Refusal::QuotaExhausted));
    test.restore(0, first);
    assert_eq!(test.begin(0, b""), Err(Refusal::QuotaExhausted), "going back wins no quota");
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: first }), Reply::Done);
    assert!(test.begin(0, b"").is_ok());
}

#[test]
fn one_checkpoint_at_a_time() {
    let mut test = Test::new(&[3000], 4, 4000);
    let id = test.begin(0, b"").unwrap();
    assert_eq!(test.begin(0, b""), Err(Refusal::Busy));
    assert_eq!(test.ask(OPERATOR, Request::Remove { id }), Reply::Refused(Refusal::Busy));
    test.finish();
    assert!(test.begin(0, b"").is_ok());
}

#[test]
fn state_comes_in_order_and_before_the_commit() {
    let mut test = Test::new(&[100], 4, 1000);
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
    let part = |offset, length| Request::PutState { id, offset, bytes: vec![1; length] };
    assert_eq!(test.ask(1, part(1, 5)), Reply::Refused(Refusal::BadPart));
    assert_eq!(test.ask(1, part(0, MAX_PART + 1)), Reply::Refused(Refusal::BadPart));
    assert_eq!(test.ask(1, part(0, 5)), Reply::Done);
    assert_eq!(test.ask(1, part(0, 5)), Reply::Refused(Refusal::BadPart));
    assert_eq!(test.ask(1, Request::GetState { id, offset: 0 }), Reply::Refused(Refusal::NotComplete));
    assert_eq!(test.ask(1, Request::Commit { id }), Reply::Done);
    assert_eq!(test.ask(1, part(5, 5)), Reply::Refused(Refusal::NoCheckpoint));
    assert_eq!(test.ask(1, Request::Commit { id }), Reply::Refused(Refusal::NoCheckpoint));
    test.finish();
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
    assert_eq!(test.ask(1, Request::Restore { id }), Reply::Refused(Refusal::NotComplete));
}

#[test]
fn state_has_a_limit() {
    let mut test = Test::new(&[100], 4, 1000);
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
    let refused = (0..1000).find(|part| {
        let offset = part * MAX_PART as u32;
        test.ask(1, Request::PutState { id, offset, bytes: vec![0; MAX_PART] }) != Reply::Done
    });
    assert!(refused.is_some());
}

#[test]
fn a_checkpoint_that_was_begun_can_be_dropped() {
    let mut test = Test::new(&[100], 1, 1000);
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
    assert_eq!(test.ask(1, Request::Abort { id }), Reply::Done);
    assert_eq!(test.ask(1, Request::Quota), Reply::Quota { left: 1, total: 1 });
    test.ask(1, Request::Begin);
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!("the one before is dropped") };
    assert_eq!(test.info(id).stage, Stage::Begun);
}

#[test]
fn a_monitor_that_starts_anew_finds_its_checkpoints() {
    let mut test = Test::new(&[600], 4, 1000);
    test.write(0, 5, 5);
    let first = test.checkpoint(0, b"");
    test.begin(0, b"").unwrap();
    assert_eq!(test.ask(1, Request::Attach), Reply::Done);
    assert!(!test.service.has_work() && !test.world.guests[0].pager);
    // Other memory altogether, whose books say nothing of it.
    test.world.guests[0] = super::Guest::new(600);
    test.world.guests[0].pages.fill(9);
    test.world.guests[0].written[0].fill(false);
    test.restore(0, first);
    assert_eq!(test.pages(0).iter().sum::<u64>(), 5);
}

#[test]
fn ids_are_never_used_again() {
    let mut test = Test::new(&[100, 100], 4, 1000);
    let ids = [0, 1, 0].map(|vm| test.checkpoint(vm, b""));
    assert!(ids[0] < ids[1] && ids[1] < ids[2]);
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: ids[2] }), Reply::Done);
    assert!(test.checkpoint(1, b"") > ids[2]);
}
