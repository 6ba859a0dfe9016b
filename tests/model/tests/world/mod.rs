// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core's capabilities and the model's side by side, with memory that remembers whether it is
//! zero.

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::slot::SLOT_SIZE;
use cap::{Cap, Delete, Derive, Links, Move, Retype, Shape, SlotRef, Slots, Step};
use model::capability::{Capability, Model, Object};
use model::random::Random;

const SLOTS: u64 = 56;
const PAGE: u64 = 4096;
/// Two untyped memories: slot, address, size.
const UNTYPED: [(u64, u64, u8); 2] = [(0, 0x10_0000, 17), (1, 0x20_0000, 15)];
const MEMORY: std::ops::Range<u64> = 0x10_0000..0x20_8000;

fn slot(index: u64) -> SlotRef {
    SlotRef::new((index + 1) * SLOT_SIZE).unwrap()
}

fn index(slot: SlotRef) -> u64 {
    slot.get() / SLOT_SIZE - 1
}

/// One thing to do to both.
#[derive(Clone, Debug)]
pub enum Operation {
    Mint { from: u64, to: u64, rights: u8, badge: u64 },
    Ports { from: u64, to: u64, first: u16, last: u16 },
    Interrupt { from: u64, to: u64, line: u64 },
    Move { from: u64, to: u64 },
    Map { slot: u64, space: u64 },
    Delete { slot: u64 },
    Revoke { slot: u64, steps: u64 },
    Retype { from: u64, kind: ObjectType, bits: u8, count: u64, to: u64, steps: u64 },
}

impl Operation {
    pub fn random(random: &mut Random) -> Self {
        let from = random.below(SLOTS);
        let to = random.below(SLOTS);
        match random.below(20) {
            0..6 => {
                let rights =
                    random.pick(&[Rights::ALL.bits(), Rights::ALL.bits(), random.clone().number() as u8]);
                let badge = random.pick(&[0, 0, 1, 2]);
                Operation::Mint { from, to, rights, badge }
            }
            6 => {
                let (first, last) = (random.below(64) as u16, random.below(64) as u16);
                Operation::Ports { from: random.pick(&[2, from]), to, first, last }
            }
            7 => Operation::Interrupt { from: random.pick(&[3, from]), to, line: random.below(4) },
            8..10 => Operation::Move { from, to },
            10 => Operation::Map { slot: from, space: random.below(3) },
            11..13 => Operation::Delete { slot: from },
            13 => Operation::Revoke { slot: from, steps: random.pick(&[1, 2, 99, 99]) },
            _ => {
                const KINDS: [ObjectType; 7] = [
                    ObjectType::Untyped,
                    ObjectType::Untyped,
                    ObjectType::Frame,
                    ObjectType::Frame,
                    ObjectType::Endpoint,
                    ObjectType::Notification,
                    ObjectType::CNode,
                ];
                let kind = random.pick(&KINDS);
                let bits = match kind {
                    ObjectType::Endpoint | ObjectType::Notification => 12,
                    _ => 12 + random.pick(&[0, 0, 1, 1, 2, 3]),
                };
                let count = 1 + random.below(3);
                let steps = random.pick(&[0, 1, 3, 99, 99, 99]);
                let to = to.min(SLOTS - count);
                Operation::Retype { from: random.pick(&[0, 1, from]), kind, bits, count, to, steps }
            }
        }
    }
}

struct Table(Vec<cap::Slot>);

impl Slots for Table {
    fn read(&self, slot: SlotRef) -> cap::Slot {
        self.0[index(slot) as usize]
    }

    fn write_cap(&mut self, slot: SlotRef, cap: Cap) {
        self.0[index(slot) as usize].cap = cap;
    }

    fn write_links(&mut self, slot: SlotRef, links: Links) {
        self.0[index(slot) as usize].links = links;
    }
}

/// Both.
pub struct World {
    table: Table,
    model: Model,
    /// Per page of [`MEMORY`].
    dirty: Vec<bool>,
}

fn page(address: u64) -> usize {
    ((address - MEMORY.start) / PAGE) as usize
}

/// Whether two results agree; whether the operation was done.
fn same<T: PartialEq + std::fmt::Debug>(
    ours: &Result<T, Error>,
    theirs: &Result<T, Error>,
) -> Result<bool, String> {
    if ours == theirs { Ok(ours.is_ok()) } else { Err(format!("core: {ours:?}, model: {theirs:?}")) }
}

impl World {
    pub fn new() -> Self {
        let mut table = Table(vec![cap::Slot::default(); SLOTS as usize]);
        let mut model = Model::default();
        let untyped = ObjectType::Untyped;
        for (at, base, bits) in UNTYPED {
            cap::insert_root(&mut table, slot(at), Cap::new(untyped, Rights::ALL, bits, base));
            model.root(at, Object::Memory { kind: untyped as u8, base, bits });
        }
        cap::insert_root(&mut table, slot(2), Cap::ports(0, 63, Rights::ALL));
        model.root(2, Object::Ports(0, 63));
        cap::insert_root(&mut table, slot(3), Cap::new(ObjectType::Machine, Rights::ALL, 0, 0));
        model.root(3, Object::Machine);
        let (kind, base, bits) = (ObjectType::Frame, 0x40_0000, 12);
        cap::insert_root(&mut table, slot(4), Cap::new(kind, Rights::ALL, bits, base));
        model.root(4, Object::Memory { kind: kind as u8, base, bits });
        Self { table, model, dirty: vec![true; page(MEMORY.end)] }
    }

    fn derive(&mut self, derive: Result<Derive, Error>) -> Result<(), Error> {
        derive?.perform(&mut self.table);
        Ok(())
    }

    /// Do it to both; whether it was done, or how the results differ.
    pub fn apply(&mut self, operation: &Operation) -> Result<bool, String> {
        match *operation {
            Operation::Mint { from, to, rights, badge } => {
                let derive =
                    Derive::mint(&self.table, slot(from), slot(to), Rights::from_bits(rights.into()), badge);
                same(&self.derive(derive), &self.model.mint(from, to, rights & Rights::ALL.bits(), badge))
            }
            Operation::Ports { from, to, first, last } => {
                let derive = Derive::ports(&self.table, slot(from), slot(to), first.into(), last.into());
                same(&self.derive(derive), &self.model.ports(from, to, first, last))
            }
            // Whether a line has a capability already, the core finds elsewhere.
            Operation::Interrupt { line, .. } if self.model.refers(Object::Line(line)) => Ok(false),
            Operation::Interrupt { from, to, line } => {
                let derive = Derive::interrupt(&self.table, slot(from), slot(to), line);
                same(&self.derive(derive), &self.model.interrupt(from, to, line))
            }
            Operation::Move { from, to } => {
                let result = Move::decode(&self.table, slot(from), slot(to));
                let result = result.map(|command| command.perform(&mut self.table));
                same(&result, &self.model.relocate(from, to))
            }
            Operation::Map { slot, space } => Ok(self.map(slot, space)),
            Operation::Delete { slot: at } => {
                let result = Delete::decode(&self.table, slot(at)).map(|command| {
                    command.map(|command| {
                        let ends =
                            !matches!(command.cap().kind(), ObjectType::Machine | ObjectType::PortRange);
                        let last = ends && command.is_last();
                        command.perform(&mut self.table);
                        last
                    })
                });
                same(&result, &self.model.delete(at))
            }
            Operation::Revoke { slot, steps } => self.revoke(slot, steps),
            Operation::Retype { from, kind, bits, count, to, steps } => {
                self.retype(from, (kind, bits, count), to, steps)
            }
        }
    }

    /// What the core writes into the capability of a frame that it maps.
    fn map(&mut self, at: u64, space: u64) -> bool {
        let mut cap = self.table.read(slot(at)).cap;
        if cap.kind() != ObjectType::Frame {
            return false;
        }
        (cap.badge, cap.aux) = (space, space * 0x1000);
        self.table.write_cap(slot(at), cap);
        if let Some(cap) = self.model.filled.get_mut(&at) {
            cap.mark = space;
        }
        true
    }

    fn revoke(&mut self, root: u64, steps: u64) -> Result<bool, String> {
        let doomed = self.model.descendants(root);
        for _ in 0..steps {
            let Some(next) = cap::revoke_next(&self.table, slot(root)) else { break };
            if !doomed.contains(&index(next)) {
                return Err(format!("slot {} is not derived from slot {root}", index(next)));
            }
            cap::unlink(&mut self.table, next);
            self.model.remove(index(next));
            self.compare()?;
        }
        if steps > SLOTS && self.model.has_children(root) {
            return Err(format!("slot {root} has children after a revocation"));
        }
        Ok(!doomed.is_empty())
    }

    fn retype(
        &mut self,
        from: u64,
        what: (ObjectType, u8, u64),
        to: u64,
        steps: u64,
    ) -> Result<bool, String> {
        let (kind, bits, count) = what;
        let shape = Shape::new(kind as u64, bits.into(), count).map_err(|error| format!("{error:?}"))?;
        let place = self.model.place(from, bits, count, to);
        let mut retype = match Retype::decode(&self.table, slot(from), shape, slot(to)) {
            Ok(retype) => retype,
            Err(error) => return same(&Err(error), &place),
        };
        let place = place.map_err(|error| format!("core: done, model: {error:?}"))?;
        for _ in 0..=steps {
            match retype.step(3) {
                Step::Clear(clearing) => {
                    let first = page(clearing.base());
                    self.dirty[first..first + (clearing.size() / PAGE) as usize].fill(false);
                    retype = clearing.done(&mut self.table);
                    self.model.begin_clearing(from, place);
                }
                Step::Perform(make) => {
                    let pages = page(place)..page(place + (count << bits));
                    if kind != ObjectType::Untyped {
                        if self.dirty[pages.clone()].contains(&true) {
                            return Err(format!("objects at {place:#x} are made of dirty memory"));
                        }
                        self.dirty[pages].fill(true);
                    }
                    make.perform(&mut self.table);
                    self.model.make(from, kind, bits, count, to, place);
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Whether both have come to the same state.
    pub fn compare(&self) -> Result<(), String> {
        cap::check(&self.table, (0..SLOTS).map(slot)).map_err(|violation| format!("{violation:?}"))?;
        let mut children = 0;
        for at in 0..SLOTS {
            let ours = self.table.read(slot(at)).cap;
            match self.model.filled.get(&at) {
                None if ours.is_null() => continue,
                Some(theirs) if agree(&ours, theirs) => {}
                theirs => return Err(format!("slot {at}: core {ours:x?}, model {theirs:x?}")),
            }
            if cap::has_descendants(&self.table, slot(at)) != self.model.has_children(at) {
                return Err(format!("slot {at}: children or none?"));
            }
            for child in cap::children(&self.table, slot(at)) {
                children += 1;
                let parent = self.model.filled.get(&index(child)).and_then(|cap| cap.parent);
                if parent != Some(at) {
                    return Err(format!("parent of {}: core {at}, model {parent:?}", index(child)));
                }
            }
            self.check_books(&ours)?;
        }
        let expected = self.model.filled.values().filter(|cap| cap.parent.is_some()).count();
        if children == expected { Ok(()) } else { Err(format!("{children} children, model: {expected}")) }
    }

    /// Invariant 7: from the watermark to the clear mark, memory is zero.
    fn check_books(&self, cap: &Cap) -> Result<(), String> {
        if cap.kind() != ObjectType::Untyped {
            return Ok(());
        }
        let pages = page(cap.object + cap.badge * PAGE)..page(cap.object + cap.aux * PAGE);
        if self.dirty[pages].contains(&true) {
            Err(format!("{cap:x?} vouches for dirty memory"))
        } else {
            Ok(())
        }
    }
}

fn agree(ours: &Cap, theirs: &Capability) -> bool {
    let object = match ours.kind() {
        ObjectType::PortRange => Object::Ports(ours.port_range().0, ours.port_range().1),
        ObjectType::Interrupt => Object::Line(ours.object),
        ObjectType::Machine => Object::Machine,
        _ => Object::Memory { kind: ours.kind, base: ours.object, bits: ours.size_bits },
    };
    let mark = match ours.kind() {
        ObjectType::Endpoint | ObjectType::Notification => ours.badge == theirs.mark && ours.aux == 0,
        ObjectType::Frame => ours.badge == theirs.mark && ours.aux == theirs.mark * 0x1000,
        ObjectType::Untyped => true,
        _ => ours.badge == 0 && ours.aux == 0,
    };
    object == theirs.object && mark && ours.rights == theirs.rights
}
