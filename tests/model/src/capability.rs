// SPDX-License-Identifier: MIT OR Apache-2.0
//! What capabilities are, what is derived from what, and which memory is free.

use std::collections::{BTreeMap, BTreeSet};

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;

/// Number of a slot.
pub type Slot = u64;

const PAGE: u64 = 4096;

/// A capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The slot of what it was derived from.
    pub parent: Option<Slot>,
    /// What it refers to.
    pub object: Object,
    /// What may be done with it.
    pub rights: u8,
    /// Endpoint and Notification: the badge. Frame: where it is mapped.
    pub mark: u64,
    /// Untyped: every page that went to an object since it last had none.
    pub handed_out: BTreeSet<u64>,
}

/// What capabilities refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// Made of memory.
    Memory {
        /// Type.
        kind: u8,
        /// Address.
        base: u64,
        /// Size.
        bits: u8,
    },
    /// Ports, both ends included.
    Ports(u16, u16),
    /// An interrupt line.
    Line(u64),
    /// The machine.
    Machine,
}

impl Object {
    fn is(self, wanted: ObjectType) -> bool {
        match self {
            Object::Memory { kind, .. } => kind == wanted as u8,
            Object::Ports(..) => wanted == ObjectType::PortRange,
            Object::Line(_) => wanted == ObjectType::Interrupt,
            Object::Machine => wanted == ObjectType::Machine,
        }
    }
}

/// All capabilities.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// By slot; a slot that is not in here is empty.
    pub filled: BTreeMap<Slot, Capability>,
}

impl Model {
    /// Put a capability that is derived from nothing into a slot.
    pub fn root(&mut self, slot: Slot, object: Object) {
        let rights = Rights::ALL.bits();
        self.filled
            .insert(slot, Capability { parent: None, object, rights, mark: 0, handed_out: BTreeSet::new() });
    }

    fn get(&self, slot: Slot) -> Result<&Capability, Error> {
        self.filled.get(&slot).ok_or(Error::InvalidCapability)
    }

    fn must_be_empty(&self, slot: Slot) -> Result<(), Error> {
        if self.filled.contains_key(&slot) { Err(Error::SlotOccupied) } else { Ok(()) }
    }

    /// Slots of what is derived from a capability, directly or not.
    #[must_use]
    pub fn descendants(&self, slot: Slot) -> BTreeSet<Slot> {
        let mut found = BTreeSet::new();
        loop {
            let more: BTreeSet<Slot> = self
                .filled
                .iter()
                .filter(|(_, cap)| cap.parent.is_some_and(|up| up == slot || found.contains(&up)))
                .map(|(&slot, _)| slot)
                .collect();
            if more == found {
                return found;
            }
            found = more;
        }
    }

    /// Whether anything is derived from a capability.
    #[must_use]
    pub fn has_children(&self, slot: Slot) -> bool {
        self.filled.values().any(|cap| cap.parent == Some(slot))
    }

    /// Whether there is a capability to an object.
    #[must_use]
    pub fn refers(&self, object: Object) -> bool {
        self.filled.values().any(|cap| cap.object == object)
    }

    /// Derive a capability to the same object.
    ///
    /// # Errors
    /// As `CNodeMint`.
    pub fn mint(&mut self, from: Slot, to: Slot, rights: u8, badge: u64) -> Result<(), Error> {
        let source = self.get(from)?.clone();
        self.must_be_empty(to)?;
        if source.object.is(ObjectType::Untyped) {
            return Err(Error::InvalidArgument);
        }
        let badged = source.object.is(ObjectType::Endpoint) || source.object.is(ObjectType::Notification);
        if badge != 0 && !(badged && source.mark == 0) {
            return Err(Error::InvalidArgument);
        }
        let mark = if !badged {
            0
        } else if badge != 0 {
            badge
        } else {
            source.mark
        };
        let cap = Capability { parent: Some(from), rights: source.rights & rights, mark, ..source };
        self.filled.insert(to, cap);
        Ok(())
    }

    /// Derive a capability to some of the ports.
    ///
    /// # Errors
    /// As `PortNarrow`.
    pub fn ports(&mut self, from: Slot, to: Slot, first: u16, last: u16) -> Result<(), Error> {
        let source = self.get(from)?.clone();
        let Object::Ports(low, high) = source.object else { return Err(Error::InvalidCapability) };
        if source.rights & Rights::MANAGE.bits() == 0 {
            return Err(Error::MissingRights);
        }
        if !(low <= first && first <= last && last <= high) {
            return Err(Error::OutOfRange);
        }
        self.must_be_empty(to)?;
        let object = Object::Ports(first, last);
        self.filled.insert(to, Capability { parent: Some(from), object, ..source });
        Ok(())
    }

    /// Derive the capability to a line.
    ///
    /// # Errors
    /// As `MachineInterrupt`.
    pub fn interrupt(&mut self, from: Slot, to: Slot, line: u64) -> Result<(), Error> {
        let source = self.get(from)?.clone();
        if source.object != Object::Machine {
            return Err(Error::InvalidCapability);
        }
        if source.rights & Rights::MANAGE.bits() == 0 {
            return Err(Error::MissingRights);
        }
        self.must_be_empty(to)?;
        let (object, rights) = (Object::Line(line), Rights::ALL.bits());
        self.filled.insert(to, Capability { parent: Some(from), object, rights, ..source });
        Ok(())
    }

    /// Move a capability.
    ///
    /// # Errors
    /// As `CNodeMove`.
    pub fn relocate(&mut self, from: Slot, to: Slot) -> Result<(), Error> {
        self.get(from)?;
        self.must_be_empty(to)?;
        for cap in self.filled.values_mut() {
            if cap.parent == Some(from) {
                cap.parent = Some(to);
            }
        }
        let cap = self.filled.remove(&from).expect("it was there");
        self.filled.insert(to, cap);
        Ok(())
    }

    /// Delete a capability; whether the object died with it, `None` if there was none.
    ///
    /// # Errors
    /// As `CNodeDelete`.
    pub fn delete(&mut self, slot: Slot) -> Result<Option<bool>, Error> {
        let Some(cap) = self.filled.get(&slot) else { return Ok(None) };
        if cap.object.is(ObjectType::Untyped) && self.has_children(slot) {
            return Err(Error::Busy);
        }
        let object = cap.object;
        self.remove(slot);
        // Ports and the machine are for ever. Untyped memory as large as its parent is still not
        // its parent.
        let ends = !matches!(object, Object::Ports(..) | Object::Machine);
        Ok(Some(ends && (object.is(ObjectType::Untyped) || !self.refers(object))))
    }

    /// Take a capability away; what was derived from it is now derived from its parent.
    pub fn remove(&mut self, slot: Slot) {
        let gone = self.filled.remove(&slot).expect("only what is there is removed");
        for cap in self.filled.values_mut() {
            if cap.parent == Some(slot) {
                cap.parent = gone.parent;
            }
        }
    }

    /// Where objects of `1 << bits` bytes would go: the first aligned place behind everything
    /// handed out.
    ///
    /// # Errors
    /// As `UntypedRetype`.
    pub fn place(&self, from: Slot, bits: u8, count: u64, to: Slot) -> Result<u64, Error> {
        let source = self.get(from)?;
        let Object::Memory { base, bits: all, .. } = source.object else {
            return Err(Error::InvalidCapability);
        };
        if !source.object.is(ObjectType::Untyped) {
            return Err(Error::InvalidCapability);
        }
        let free = match source.handed_out.last() {
            Some(page) if self.has_children(from) => page + PAGE,
            _ => base,
        };
        let first = free.next_multiple_of(1 << bits);
        if first + (count << bits) > base + (1 << all) {
            return Err(Error::NotEnoughMemory);
        }
        (to..to + count).try_for_each(|slot| self.must_be_empty(slot))?;
        Ok(first)
    }

    /// Clearing of memory for an object at `first` has begun: what lies before it is not used any
    /// more.
    pub fn begin_clearing(&mut self, from: Slot, first: u64) {
        let children = self.has_children(from);
        let source = self.filled.get_mut(&from).expect("`place` has looked");
        let Object::Memory { base, .. } = source.object else { unreachable!("`place` has looked") };
        if !children {
            source.handed_out.clear();
        }
        source.handed_out.extend((base..first).step_by(PAGE as usize));
    }

    /// Make objects at the place that [`Model::place`] gave.
    pub fn make(&mut self, from: Slot, kind: ObjectType, bits: u8, count: u64, to: Slot, first: u64) {
        self.begin_clearing(from, first);
        let pages = (first..first + (count << bits)).step_by(PAGE as usize);
        self.filled.get_mut(&from).expect("`place` has looked").handed_out.extend(pages);
        for index in 0..count {
            let object = Object::Memory { kind: kind as u8, base: first + (index << bits), bits };
            self.root(to + index, object);
            self.filled.get_mut(&(to + index)).expect("just made").parent = Some(from);
        }
    }
}
