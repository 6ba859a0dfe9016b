// SPDX-License-Identifier: MIT OR Apache-2.0
//! Untyped memory: what is handed out, when it comes back, and that it is zero.

mod common;

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{
    Cap, Delete, Derive, Make, Retype, Shape, Slots, Step, insert_root, revoke_next, unlink, unused_bytes,
};
use common::{Table, slot};

const BASE: u64 = 0x10_0000;

/// Slots and the memory behind an untyped capability of 16 pages; a page is one byte: 0 is zero,
/// else dirty.
struct World {
    table: Table,
    dirty: Vec<bool>,
    cleared: u64,
}

impl World {
    fn new() -> Self {
        let mut table = Table::new(64);
        insert_root(&mut table, slot(0), Cap::new(ObjectType::Untyped, Rights::ALL, 16, BASE));
        Self { table, dirty: vec![true; 16], cleared: 0 }
    }

    /// At most `steps` steps of clearing; the objects if they got ready.
    fn begin(&mut self, from: u64, shape: Shape, to: u64, steps: usize) -> Result<Option<Make>, Error> {
        let mut retype = Retype::decode(&self.table, slot(from), shape, slot(to))?;
        for _ in 0..=steps {
            match retype.step(2) {
                Step::Perform(make) => return Ok(Some(make)),
                Step::Clear(clearing) => {
                    let first = (clearing.base() - BASE) as usize / 4096;
                    let count = clearing.size() as usize / 4096;
                    self.dirty[first..first + count].fill(false);
                    self.cleared += count as u64;
                    retype = clearing.done(&mut self.table);
                    self.table.check();
                }
            }
        }
        Ok(None)
    }

    /// Make objects, check that they are zero, and soil them.
    fn make(&mut self, from: u64, kind: ObjectType, bits: u64, count: u64, to: u64) -> Result<(), Error> {
        let shape = Shape::new(kind as u64, bits, count)?;
        let make = self.begin(from, shape, to, 99)?.expect("clearing comes to an end");
        for (_, cap) in make.objects() {
            let first = (cap.object - BASE) as usize / 4096;
            for page in &mut self.dirty[first..first + (1 << (bits - 12))] {
                assert!(kind == ObjectType::Untyped || !*page, "an object is made of dirty memory");
                *page = true;
            }
        }
        make.perform(&mut self.table);
        self.table.check();
        Ok(())
    }

    fn revoke(&mut self, root: u64) {
        while let Some(next) = revoke_next(&self.table, slot(root)) {
            unlink(&mut self.table, next);
            self.table.check();
        }
    }
}

#[test]
fn objects_are_aligned_and_do_not_overlap() {
    let mut world = World::new();
    world.make(0, ObjectType::Endpoint, 12, 3, 1).unwrap();
    world.make(0, ObjectType::Vcpu, 14, 2, 4).unwrap();
    let place = |index| world.table.read(slot(index)).cap.object - BASE;
    assert_eq!([1, 2, 3, 4, 5].map(place), [0, 0x1000, 0x2000, 0x4000, 0x8000]);
    assert_eq!(unused_bytes(&world.table, slot(0)), 0x4000);
}

#[test]
fn memory_is_handed_out_to_the_last_page_and_no_further() {
    let mut world = World::new();
    assert_eq!(world.make(0, ObjectType::Frame, 12, 17, 1), Err(Error::NotEnoughMemory));
    world.make(0, ObjectType::Frame, 12, 16, 1).unwrap();
    assert_eq!(world.make(0, ObjectType::Frame, 12, 1, 17), Err(Error::NotEnoughMemory));
}

#[test]
fn memory_comes_back_when_nothing_is_left_and_is_cleared_again() {
    let mut world = World::new();
    world.make(0, ObjectType::Untyped, 15, 2, 1).unwrap();
    world.make(1, ObjectType::Frame, 12, 8, 3).unwrap();
    let copy = Derive::mint(&world.table, slot(3), slot(20), Rights::READ, 0).unwrap();
    copy.perform(&mut world.table);
    for index in 3..11 {
        Delete::decode(&world.table, slot(index)).unwrap().unwrap().perform(&mut world.table);
    }
    // A copy of one frame keeps the whole child untyped in use.
    assert_eq!(world.make(1, ObjectType::Frame, 12, 1, 3), Err(Error::NotEnoughMemory));
    assert_eq!(Delete::decode(&world.table, slot(1)).unwrap_err(), Error::Busy);
    world.revoke(0);
    assert_eq!(unused_bytes(&world.table, slot(0)), 0x1_0000);
    world.make(0, ObjectType::Frame, 12, 16, 1).unwrap();
}

#[test]
fn a_deleted_child_keeps_its_memory_until_its_parent_is_empty() {
    let mut world = World::new();
    world.make(0, ObjectType::Untyped, 15, 1, 1).unwrap();
    world.make(0, ObjectType::Endpoint, 12, 1, 2).unwrap();
    Delete::decode(&world.table, slot(1)).unwrap().unwrap().perform(&mut world.table);
    assert_eq!(unused_bytes(&world.table, slot(0)), 0x7000);
    Delete::decode(&world.table, slot(2)).unwrap().unwrap().perform(&mut world.table);
    assert_eq!(unused_bytes(&world.table, slot(0)), 0x1_0000);
}

#[test]
fn clearing_goes_on_where_it_stopped() {
    let mut world = World::new();
    let shape = Shape::new(ObjectType::Frame as u64, 12, 16).unwrap();
    let mut rounds = 0;
    while world.begin(0, shape, 1, 0).unwrap().is_none() {
        rounds += 1;
        assert!(rounds < 20);
    }
    assert_eq!(world.cleared, 16);
    // Smaller objects profit from it.
    world.make(0, ObjectType::Frame, 12, 4, 1).unwrap();
    world.make(0, ObjectType::Frame, 12, 4, 5).unwrap();
    assert_eq!(world.cleared, 16);
}

#[test]
fn an_interrupted_clearing_never_vouches_for_the_gap_before_it() {
    let mut world = World::new();
    world.make(0, ObjectType::Frame, 12, 1, 1).unwrap();
    let large = Shape::new(ObjectType::Frame as u64, 15, 1).unwrap();
    assert!(world.begin(0, large, 2, 1).unwrap().is_none());
    world.make(0, ObjectType::Frame, 12, 2, 3).unwrap();
    world.make(0, ObjectType::Frame, 12, 4, 5).unwrap();
}

#[test]
fn shapes_outside_the_contract_are_refused() {
    for (kind, bits, count) in [
        (0, 12, 1),
        (1, 11, 1),
        (1, 48, 1),
        (3, 13, 1),
        (7, 12, 0),
        (7, 12, 257),
        (7, 300, 1),
        (11, 12, 1),
        (99, 12, 1),
    ] {
        assert_eq!(Shape::new(kind, bits, count), Err(Error::InvalidArgument));
    }
}

#[test]
fn refusals_change_nothing() {
    let mut world = World::new();
    world.make(0, ObjectType::Endpoint, 12, 1, 2).unwrap();
    let before = world.table.read(slot(0));
    assert_eq!(world.make(0, ObjectType::Frame, 12, 2, 1), Err(Error::SlotOccupied));
    assert_eq!(world.make(2, ObjectType::Frame, 12, 1, 3), Err(Error::InvalidCapability));
    assert_eq!(world.make(9, ObjectType::Frame, 12, 1, 3), Err(Error::InvalidCapability));
    assert_eq!(world.table.read(slot(0)), before);
}
