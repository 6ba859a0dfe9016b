// SPDX-License-Identifier: MIT OR Apache-2.0
//! What checkpoints promise.

use std::vec::Vec;

use api::checkpoint::{Refusal, Reply, Request, Stage};

use super::{OPERATOR, Test};

#[test]
fn a_checkpoint_holds_what_was_there_at_the_commit_whatever_is_written_then() {
    let mut test = Test::new(&[300], 4, 1000);
    for page in 0..300 {
        test.write(0, page, page as u64 % 7);
    }
    let then = test.pages(0);
    let id = test.begin(0, b"state").unwrap();
    for page in (0..300).rev() {
        test.write(0, page, 1000 + page as u64);
        if page % 50 == 0 {
            test.service.step(&mut test.world);
        }
    }
    test.finish();
    assert_eq!(test.info(id).stage, Stage::Complete);
    assert_eq!(test.state(0, id), b"state");
    test.restore(0, id);
    assert_eq!(test.pages(0), then);
}

#[test]
fn a_vm_stands_still_for_two_calls_whatever_the_size_of_memory() {
    for pages in [10, 10_000] {
        let mut test = Test::new(&[pages], 4, 10);
        test.world.calls = 0;
        assert!(matches!(test.ask(1, Request::Begin), Reply::Begun { .. }));
        assert_eq!(test.world.calls, 2);
    }
}

#[test]
fn no_root_is_written_while_a_vm_stands_still() {
    let mut test = Test::new(&[10], 200, 1000);
    for _ in 0..150 {
        let before = test.world.store.clone();
        assert!(matches!(test.ask(1, Request::Begin), Reply::Begun { .. }));
        assert!(test.world.store == before);
        let id = test.begin(0, b"").unwrap();
        test.finish();
        assert_eq!(test.ask(OPERATOR, Request::Remove { id }), Reply::Done);
    }
}

#[test]
fn a_checkpoint_holds_what_was_there_when_it_began_and_waits_for_its_state() {
    let mut test = Test::new(&[300], 4, 1000);
    test.write(0, 7, 7);
    let then = test.pages(0);
    let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
    test.write(0, 7, 8);
    test.finish();
    test.write(0, 8, 8);
    assert_eq!((test.info(id).stage, test.service.has_work()), (Stage::Begun, false));
    assert!(!test.world.guests[0].pager, "all pages are copied");
    let bytes = b"state".to_vec();
    assert_eq!(test.ask(1, Request::PutState { id, offset: 0, bytes }), Reply::Done);
    assert_eq!(test.ask(1, Request::Commit { id }), Reply::Done);
    test.finish();
    assert_eq!((test.info(id).stage, test.state(0, id)), (Stage::Complete, b"state".to_vec()));
    test.restore(0, id);
    assert_eq!(test.pages(0), then);
}

#[test]
fn who_asks_for_something_else_has_given_up_what_it_began() {
    let mut test = Test::new(&[300], 4, 1000);
    test.write(0, 7, 7);
    let good = test.checkpoint(0, b"");
    for steps in [0, 1, 100] {
        test.write(0, 7, 70 + steps);
        let Reply::Begun { id } = test.ask(1, Request::Begin) else { panic!() };
        (0..steps).for_each(|_| test.service.step(&mut test.world));
        test.restore(0, good);
        assert_eq!(test.pages(0)[7], 7);
        assert_eq!(test.ask(1, Request::Commit { id }), Reply::Refused(Refusal::NoCheckpoint));
    }
    assert_eq!(test.ask(1, Request::Attach), Reply::Done);
    assert_eq!(test.store().used, 1 + 2, "every other slot came back");
}

#[test]
fn nobody_asks_us_any_more_once_all_pages_are_copied() {
    let mut test = Test::new(&[3000], 4, 4000);
    test.begin(0, b"").unwrap();
    assert!(test.world.guests[0].pager);
    test.finish();
    assert!(!test.world.guests[0].pager);
}

#[test]
fn zero_pages_and_unchanged_pages_take_no_room() {
    let mut test = Test::new(&[5000], 4, 1000);
    for page in 0..100 {
        test.write(0, page, 5 + page as u64);
    }
    test.checkpoint(0, b"");
    // With a slot for each record and each leaf that differs.
    assert_eq!(test.store().used, 100 + 2);
    test.write(0, 3, 77);
    test.write(0, 4, 0);
    let second = test.checkpoint(0, b"");
    assert_eq!((test.store().used, test.info(second).new_pages), (101 + 4, 1));
    let third = test.checkpoint(0, b"");
    assert_eq!((test.store().used, test.info(third).new_pages), (101 + 5, 0));
}

#[test]
fn a_page_written_with_what_it_held_takes_no_room() {
    let mut test = Test::new(&[100], 4, 1000);
    test.write(0, 9, 9);
    test.checkpoint(0, b"");
    test.write(0, 9, 9);
    let second = test.checkpoint(0, b"");
    assert_eq!(test.info(second).new_pages, 0);
}

#[test]
fn a_restore_costs_what_was_written_since() {
    let mut test = Test::new(&[5000], 4, 6000);
    for page in 0..5000 {
        test.write(0, page, 5 + page as u64);
    }
    let id = test.checkpoint(0, b"");
    for page in [1, 800, 4999] {
        test.write(0, page, 1);
    }
    test.write(0, 6, 5 + 6);
    let calls = test.world.calls;
    test.take_reads();
    assert_eq!(test.restore(0, id), 3);
    assert_eq!(test.take_reads(), 4);
    assert!(test.world.calls - calls < 3 + 3 + 2 * 50 + 1);
    assert_eq!(test.restore(0, id), 0);
    test.write(0, 7, 1);
    assert_eq!(test.restore(0, id), 1);
}

#[test]
fn a_checkpoint_looks_only_at_pages_written_since_the_one_before() {
    let mut test = Test::new(&[3000], 20, 4000);
    let first = test.checkpoint(0, b"");
    test.write(0, 5, 5);
    test.write(0, 6, 6);
    test.restore(0, first);
    let looked_at: Vec<u64> = (0..3)
        .map(|_| {
            test.take_reads();
            test.checkpoint(0, b"");
            test.take_reads()
        })
        .collect();
    assert_eq!(looked_at, [0; 3]);
}

#[test]
fn history_branches_and_every_tip_can_be_visited() {
    let mut test = Test::new(&[700], 8, 5000);
    let mut seen: Vec<(u64, Vec<u64>)> = Vec::new();
    test.write(0, 600, 1);
    let trunk = test.checkpoint(0, b"trunk");
    seen.push((trunk, test.pages(0)));
    for branch in 0..3 {
        test.restore(0, trunk);
        test.write(0, branch, 100 + branch as u64);
        test.write(0, 650, 200 + branch as u64);
        let id = test.checkpoint(0, b"tip");
        assert_eq!(test.info(id).parent, Some(trunk));
        seen.push((id, test.pages(0)));
        test.write(0, 650, 3);
    }
    for order in [[0, 1, 2, 3], [3, 1, 0, 2], [2, 2, 0, 1]] {
        for at in order {
            let (id, pages) = &seen[at];
            test.restore(0, *id);
            assert_eq!(test.pages(0), *pages);
        }
    }
}

#[test]
fn a_restore_right_after_the_commit_waits_until_the_checkpoint_is_there() {
    let mut test = Test::new(&[900], 4, 1000);
    test.write(0, 800, 8);
    let id = test.begin(0, b"").unwrap();
    test.write(0, 800, 9);
    test.restore(0, id);
    assert_eq!(test.pages(0)[800], 8);
}

#[test]
fn what_is_shared_with_a_removed_checkpoint_stays() {
    let mut test = Test::new(&[700], 4, 1000);
    for page in 0..20 {
        test.write(0, page, 5 + page as u64);
    }
    let first = test.checkpoint(0, b"");
    test.write(0, 0, 1);
    let second = test.checkpoint(0, b"");
    let then = test.pages(0);
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: first }), Reply::Done);
    test.write(0, 1, 1);
    test.restore(0, second);
    assert_eq!(test.pages(0), then);
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: second }), Reply::Done);
    assert_eq!(test.store().used, 20 + 1, "what guest memory is compared with is kept");
    test.write(0, 2, 1);
    let third = test.checkpoint(0, b"");
    assert_eq!(test.info(third).new_pages, 1);
    assert_eq!(test.ask(OPERATOR, Request::Remove { id: third }), Reply::Done);
    assert_eq!(test.ask(1, Request::Attach), Reply::Done);
    assert_eq!(test.store().used, 0);
}

#[test]
fn equal_checkpoints_have_equal_digests_and_others_do_not() {
    let mut test = Test::new(&[700], 8, 1000);
    test.write(0, 5, 5);
    let digests: Vec<_> = [&b"a"[..], b"a", b"b"]
        .iter()
        .map(|state| {
            let id = test.checkpoint(0, state);
            test.info(id).digest
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
    test.write(0, 6, 5);
    let id = test.checkpoint(0, b"a");
    assert_ne!(test.info(id).digest, digests[0]);
    test.restore(0, 1);
    let again = test.checkpoint(0, b"a");
    assert_eq!(test.info(again).digest, digests[0]);
}
