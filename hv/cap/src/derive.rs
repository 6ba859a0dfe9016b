// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that derive, move and delete single capabilities.
//!
//! Each is decoded (everything is checked, nothing changes) into a value that only decoding can
//! make, and then performed (nothing can fail). Rights that the *CNodes* need are the caller's to
//! check.

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;

use crate::slot::{Cap, SlotRef, Slots};
use crate::tree;

/// The capability in a slot that must hold one.
pub(crate) fn filled(slots: &impl Slots, slot: SlotRef) -> Result<Cap, Error> {
    let cap = slots.read(slot).cap;
    if cap.is_null() { Err(Error::InvalidCapability) } else { Ok(cap) }
}

/// That a slot is empty.
pub(crate) fn empty(slots: &impl Slots, slot: SlotRef) -> Result<(), Error> {
    if slots.read(slot).cap.is_null() { Ok(()) } else { Err(Error::SlotOccupied) }
}

/// A capability that is about to be derived: `CNodeMint`, `PortNarrow`, `MachineInterrupt`.
#[derive(Debug)]
pub struct Derive {
    parent: SlotRef,
    to: SlotRef,
    cap: Cap,
}

impl Derive {
    /// Derive a capability to the same object, with the rights of the source that `rights` has as
    /// well, and with a badge (0 keeps the source's).
    ///
    /// # Errors
    /// `InvalidCapability` for an empty source, `InvalidArgument` for untyped memory (it has one
    /// capability, so that its books have one place) and for a badge where none can be given,
    /// `SlotOccupied`.
    pub fn mint(
        slots: &impl Slots,
        from: SlotRef,
        to: SlotRef,
        rights: Rights,
        badge: u64,
    ) -> Result<Self, Error> {
        let source = filled(slots, from)?;
        empty(slots, to)?;
        let kind = source.kind();
        if kind == ObjectType::Untyped {
            return Err(Error::InvalidArgument);
        }
        let takes_badge = matches!(kind, ObjectType::Endpoint | ObjectType::Notification);
        if badge != 0 && (!takes_badge || source.badge != 0) {
            return Err(Error::InvalidArgument);
        }
        let mut cap = source;
        cap.rights = source.rights().and(rights).bits();
        cap.flags = 0;
        cap.extra = 0;
        // What the source alone stands for (the mapping of a frame, the core's notes) stays with
        // it.
        cap.aux = 0;
        cap.badge = match (takes_badge, badge) {
            (true, 0) => source.badge,
            (true, _) => badge,
            (false, _) => 0,
        };
        Ok(Self { parent: from, to, cap })
    }

    /// Derive a capability to some of the ports, with the rights of the source.
    ///
    /// # Errors
    /// `InvalidCapability` for what is no port range, `MissingRights` without MANAGE, `OutOfRange`
    /// for ports outside the source's or in the wrong order, `SlotOccupied`.
    pub fn ports(
        slots: &impl Slots,
        from: SlotRef,
        to: SlotRef,
        first: u64,
        last: u64,
    ) -> Result<Self, Error> {
        let source = filled(slots, from)?;
        if source.kind() != ObjectType::PortRange {
            return Err(Error::InvalidCapability);
        }
        if !source.rights().has(Rights::MANAGE) {
            return Err(Error::MissingRights);
        }
        let (low, high) = source.port_range();
        let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last)) else {
            return Err(Error::OutOfRange);
        };
        if first > last || first < low || last > high {
            return Err(Error::OutOfRange);
        }
        empty(slots, to)?;
        Ok(Self { parent: from, to, cap: Cap::ports(first, last, source.rights()) })
    }

    /// Derive the capability to an interrupt line from that to the machine. Whether the line exists
    /// and has none yet, the caller knows.
    ///
    /// # Errors
    /// `InvalidCapability` for what is not the machine, `MissingRights` without MANAGE,
    /// `SlotOccupied`.
    pub fn interrupt(slots: &impl Slots, machine: SlotRef, to: SlotRef, line: u64) -> Result<Self, Error> {
        let source = filled(slots, machine)?;
        if source.kind() != ObjectType::Machine {
            return Err(Error::InvalidCapability);
        }
        if !source.rights().has(Rights::MANAGE) {
            return Err(Error::MissingRights);
        }
        empty(slots, to)?;
        Ok(Self { parent: machine, to, cap: Cap::new(ObjectType::Interrupt, Rights::ALL, 0, line) })
    }

    /// The capability that it makes.
    #[must_use]
    pub fn cap(&self) -> &Cap {
        &self.cap
    }

    /// Do it.
    pub fn perform(self, slots: &mut impl Slots) {
        tree::insert_child(slots, self.parent, self.to, self.cap);
    }
}

/// A capability that is about to change its slot: `CNodeMove`.
#[derive(Debug)]
pub struct Move {
    from: SlotRef,
    to: SlotRef,
}

impl Move {
    /// # Errors
    /// `InvalidCapability` for an empty source, `SlotOccupied`.
    pub fn decode(slots: &impl Slots, from: SlotRef, to: SlotRef) -> Result<Self, Error> {
        filled(slots, from)?;
        empty(slots, to)?;
        Ok(Self { from, to })
    }

    /// Do it.
    pub fn perform(self, slots: &mut impl Slots) {
        tree::move_slot(slots, self.from, self.to);
    }
}

/// A capability that is about to go: `CNodeDelete`.
///
/// Between decoding and performing, the core destroys the object if [`Delete::is_last`], and undoes
/// what the capability alone stands for (the mapping of a frame).
#[derive(Debug)]
pub struct Delete {
    slot: SlotRef,
    cap: Cap,
    last: bool,
}

impl Delete {
    /// `None` for an empty slot, which is no error.
    ///
    /// # Errors
    /// `Busy` for untyped memory with objects in it.
    pub fn decode(slots: &impl Slots, slot: SlotRef) -> Result<Option<Self>, Error> {
        let cap = slots.read(slot).cap;
        if cap.is_null() {
            return Ok(None);
        }
        if cap.kind() == ObjectType::Untyped && tree::has_descendants(slots, slot) {
            return Err(Error::Busy);
        }
        Ok(Some(Self { slot, cap, last: tree::is_last(slots, slot) }))
    }

    /// The capability.
    #[must_use]
    pub fn cap(&self) -> &Cap {
        &self.cap
    }

    /// Whether the object dies with it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Do it. What was derived from the capability stays, as derived from what it was derived from.
    pub fn perform(self, slots: &mut impl Slots) {
        tree::unlink(slots, self.slot);
    }
}
