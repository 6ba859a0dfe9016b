// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a number that user code names to a capability.

use abi::error::Error;
use abi::object::{ObjectType, SLOT_BITS};
use abi::rights::Rights;
use cap::{Cap, SlotRef};
use store::{Object, Ref, Thread, peek, slot_at};

/// The slot that a thread names.
pub fn slot(thread: Ref<Thread>, cptr: u64) -> Result<SlotRef, Error> {
    // Is there such a slot? (Without a CNode there are none. Slot 0 is never filled.)
    if cptr >= thread.cnode_slots.get() || cptr == 0 {
        return Err(Error::InvalidCapability);
    }
    Ok(slot_at(thread.cnode.get(), cptr))
}

/// The capability that a thread names, of any type but none.
pub fn cap(thread: Ref<Thread>, cptr: u64) -> Result<(SlotRef, Cap), Error> {
    let slot = slot(thread, cptr)?;
    let cap = peek(slot);
    if cap.is_null() { Err(Error::InvalidCapability) } else { Ok((slot, cap)) }
}

/// The capability of one type, with these rights.
pub fn typed(
    thread: Ref<Thread>,
    cptr: u64,
    kind: ObjectType,
    rights: Rights,
) -> Result<(SlotRef, Cap), Error> {
    let (slot, cap) = cap(thread, cptr)?;
    if cap.kind() != kind {
        return Err(Error::InvalidCapability);
    }
    if !cap.rights().has(rights) {
        return Err(Error::MissingRights);
    }
    Ok((slot, cap))
}

/// The object of one type, by a capability with these rights.
pub fn object<T: Object>(thread: Ref<Thread>, cptr: u64, rights: Rights) -> Result<Ref<T>, Error> {
    let (_, cap) = typed(thread, cptr, T::TYPE, rights)?;
    Ref::from_cap(&cap).ok_or(Error::InvalidCapability)
}

/// Number of slots of a CNode.
pub fn slots_of(cnode: &Cap) -> u64 {
    1 << cnode.size_bits.saturating_sub(SLOT_BITS)
}

/// `count` slots of the CNode that a thread names (with MANAGE), from an index on.
pub fn destination(thread: Ref<Thread>, cnode: u64, index: u64, count: u64) -> Result<SlotRef, Error> {
    let (_, cnode) = typed(thread, cnode, ObjectType::CNode, Rights::MANAGE)?;
    within(&cnode, index, count)
}

/// `count` slots of a CNode from an index on. Slot 0 is never a destination.
pub fn within(cnode: &Cap, index: u64, count: u64) -> Result<SlotRef, Error> {
    let end = index.checked_add(count).ok_or(Error::OutOfRange)?;
    if index == 0 || end > slots_of(cnode) {
        return Err(Error::OutOfRange);
    }
    Ok(slot_at(cnode.object, index))
}
