// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree of derivations and the commands on single capabilities, on a vector of slots.

mod common;

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{Cap, Delete, Derive, Move, Slots, has_descendants, insert_root, is_last, revoke_next, unlink};
use common::{Table, slot};

fn endpoint() -> Cap {
    Cap::new(ObjectType::Endpoint, Rights::ALL, 12, 0x1000)
}

fn mint(table: &mut Table, from: u64, to: u64) {
    Derive::mint(table, slot(from), slot(to), Rights::ALL, 0).unwrap().perform(table);
    table.check();
}

/// Slots emptied by a revocation, sorted.
fn revoke(table: &mut Table, root: u64) -> Vec<u64> {
    let mut gone = Vec::new();
    while let Some(next) = revoke_next(table, slot(root)) {
        unlink(table, next);
        table.check();
        gone.push(Table::index(next));
    }
    gone.sort_unstable();
    gone
}

#[test]
fn a_new_child_does_not_take_its_siblings_descendants() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    mint(&mut table, 0, 1);
    mint(&mut table, 1, 2);
    mint(&mut table, 0, 3);
    assert_eq!(revoke(&mut table, 3), []);
    assert_eq!(revoke(&mut table, 1), [2]);
    assert_eq!(revoke(&mut table, 0), [1, 3]);
}

#[test]
fn children_of_a_deleted_capability_go_to_its_parent_and_to_nobody_else() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    mint(&mut table, 0, 1);
    mint(&mut table, 1, 2);
    mint(&mut table, 1, 3);
    mint(&mut table, 0, 4);
    mint(&mut table, 2, 5);
    unlink(&mut table, slot(1));
    table.check();
    assert_eq!(revoke(&mut table, 4), []);
    assert_eq!(revoke(&mut table, 2), [5]);
    assert_eq!(revoke(&mut table, 0), [2, 3, 4]);
}

#[test]
fn a_deleted_root_leaves_roots() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    mint(&mut table, 0, 1);
    mint(&mut table, 0, 2);
    mint(&mut table, 1, 3);
    unlink(&mut table, slot(0));
    table.check();
    assert!(!is_last(&table, slot(2)));
    assert_eq!(revoke(&mut table, 1), [3]);
    unlink(&mut table, slot(1));
    table.check();
    assert!(is_last(&table, slot(2)));
}

#[test]
fn moving_keeps_the_place_among_the_derivations() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    for to in 1..4 {
        mint(&mut table, 0, to);
    }
    mint(&mut table, 2, 4);
    for (from, to) in [(2, 5), (0, 2), (1, 6), (3, 0), (4, 7)] {
        Move::decode(&table, slot(from), slot(to)).unwrap().perform(&mut table);
        table.check();
    }
    assert_eq!(revoke(&mut table, 5), [7]);
    assert_eq!(revoke(&mut table, 2), [0, 5, 6]);
}

#[test]
fn the_last_capability_is_known_as_such() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    assert!(is_last(&table, slot(0)));
    mint(&mut table, 0, 1);
    mint(&mut table, 1, 2);
    for index in 0..3 {
        assert!(!is_last(&table, slot(index)));
    }
    unlink(&mut table, slot(1));
    unlink(&mut table, slot(0));
    assert!(is_last(&table, slot(2)));
}

#[test]
fn rights_only_shrink_and_badges_are_given_once() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), endpoint());
    let write = Rights::WRITE.or(Rights::GRANT);
    Derive::mint(&table, slot(0), slot(1), write, 7).unwrap().perform(&mut table);
    let badged = table.read(slot(1)).cap;
    assert_eq!((badged.rights(), badged.badge), (write, 7));
    assert_eq!(Derive::mint(&table, slot(1), slot(2), Rights::ALL, 8).unwrap_err(), Error::InvalidArgument);
    Derive::mint(&table, slot(1), slot(2), Rights::ALL, 0).unwrap().perform(&mut table);
    assert_eq!(table.read(slot(2)).cap.rights(), write);
    assert_eq!(table.read(slot(2)).cap.badge, 7);
    table.check();
}

#[test]
fn a_copied_frame_is_not_mapped() {
    let mut table = Table::new(8);
    let mut frame = Cap::new(ObjectType::Frame, Rights::ALL, 12, 0x5000);
    (frame.badge, frame.aux, frame.flags, frame.extra) = (0x9000, 0x40_0000, 1, 2);
    insert_root(&mut table, slot(0), frame);
    mint(&mut table, 0, 1);
    assert_eq!(table.read(slot(1)).cap, Cap::new(ObjectType::Frame, Rights::ALL, 12, 0x5000));
    Move::decode(&table, slot(0), slot(2)).unwrap().perform(&mut table);
    assert_eq!(table.read(slot(2)).cap, frame);
    assert_eq!(Derive::mint(&table, slot(1), slot(3), Rights::ALL, 1).unwrap_err(), Error::InvalidArgument);
}

#[test]
fn refusals_name_their_reason() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), Cap::new(ObjectType::Untyped, Rights::ALL, 16, 0x1_0000));
    insert_root(&mut table, slot(1), endpoint());
    let refusal = |from, to| Derive::mint(&table, slot(from), slot(to), Rights::ALL, 0).unwrap_err();
    assert_eq!(refusal(2, 3), Error::InvalidCapability);
    assert_eq!(refusal(1, 0), Error::SlotOccupied);
    assert_eq!(refusal(1, 1), Error::SlotOccupied);
    assert_eq!(refusal(0, 3), Error::InvalidArgument);
    assert_eq!(Move::decode(&table, slot(1), slot(1)).unwrap_err(), Error::SlotOccupied);
    assert!(Delete::decode(&table, slot(5)).unwrap().is_none());
}

#[test]
fn ports_are_narrowed_only() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), Cap::ports(0, 0xffff, Rights::ALL));
    Derive::ports(&table, slot(0), slot(1), 0x2f8, 0x2ff).unwrap().perform(&mut table);
    assert_eq!(table.read(slot(1)).cap.port_range(), (0x2f8, 0x2ff));
    for (first, last) in [(0x2f7, 0x2ff), (0x2f8, 0x300), (0x2ff, 0x2f8), (0, 0x1_0000)] {
        let refused = Derive::ports(&table, slot(1), slot(2), first, last).unwrap_err();
        assert_eq!(refused, Error::OutOfRange);
    }
    Derive::ports(&table, slot(1), slot(2), 0x2f8, 0x2f8).unwrap().perform(&mut table);
    table.check();
    Derive::mint(&table, slot(1), slot(3), Rights::READ, 0).unwrap().perform(&mut table);
    assert_eq!(Derive::ports(&table, slot(3), slot(4), 0x2f8, 0x2f8).unwrap_err(), Error::MissingRights);
}

#[test]
fn interrupts_come_from_the_machine() {
    let mut table = Table::new(8);
    insert_root(&mut table, slot(0), Cap::new(ObjectType::Machine, Rights::ALL, 0, 0));
    Derive::interrupt(&table, slot(0), slot(1), 3).unwrap().perform(&mut table);
    Derive::interrupt(&table, slot(0), slot(2), 4).unwrap().perform(&mut table);
    table.check();
    assert!(is_last(&table, slot(1)) && is_last(&table, slot(2)));
    assert!(has_descendants(&table, slot(0)));
    assert_eq!(Derive::interrupt(&table, slot(1), slot(3), 5).unwrap_err(), Error::InvalidCapability);
}
