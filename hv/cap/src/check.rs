// SPDX-License-Identifier: MIT OR Apache-2.0
//! The invariants, as a program.
//!
//! For tests alone (feature `check`): no image contains it. Takes time in the number of slots, and
//! no memory.

use abi::object::ObjectType;
use abi::{PAGE_BITS, PAGE_SIZE};

use crate::slot::{Cap, Links, Slot, SlotRef, Slots};
use crate::tree::Link;

/// A broken invariant: its number in the crate's documentation, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number.
    pub invariant: u8,
    /// A slot that shows it.
    pub slot: SlotRef,
}

fn ensure(holds: bool, invariant: u8, slot: SlotRef) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, slot }) }
}

/// Check all invariants but the contents of memory. `all` yields every slot that exists, once.
///
/// # Errors
/// The first violation found.
pub fn check(slots: &impl Slots, all: impl Iterator<Item = SlotRef> + Clone) -> Result<(), Violation> {
    let mut filled = 0u64;
    for slot in all.clone() {
        let Slot { cap, links } = slots.read(slot);
        if cap.is_null() {
            ensure(links == Links::default(), 1, slot)?;
            continue;
        }
        filled += 1;
        neighbours(slots, slot, links)?;
        if cap.kind() == ObjectType::Untyped {
            let size = 1u64 << (cap.size_bits - PAGE_BITS);
            ensure(cap.badge <= size && cap.aux <= size && (cap.aux >= cap.badge), 7, slot)?;
        }
    }
    let mut reached = 0u64;
    for slot in all {
        let Slot { cap, links } = slots.read(slot);
        if !cap.is_null() && links.prev == 0 {
            reached += roots(slots, slot, filled)?;
        }
    }
    // Links have counterparts, so whatever is not reached goes in circles, and `all` holds a slot
    // of it.
    if reached == filled { Ok(()) } else { Err(Violation { invariant: 2, slot: SLOT_UNKNOWN }) }
}

const SLOT_UNKNOWN: SlotRef = match SlotRef::new(crate::slot::SLOT_SIZE) {
    Some(slot) => slot,
    None => unreachable!(),
};

/// Invariant 1 for a slot that is filled.
fn neighbours(slots: &impl Slots, slot: SlotRef, links: Links) -> Result<(), Violation> {
    let links_of = |other: SlotRef| slots.read(other).links;
    let back = |link: u64| SlotRef::new(link) == Some(slot);
    let before = match Link::decode(links.prev) {
        Link::None => true,
        Link::Sibling(other) => back(links_of(other).next),
        Link::Parent(parent) => back(links_of(parent).first),
    };
    let after = match Link::decode(links.next) {
        Link::None => true,
        Link::Sibling(other) => back(links_of(other).prev),
        Link::Parent(parent) => back(links_of(parent).last),
    };
    let up = Link::Parent(slot);
    let below = match (SlotRef::new(links.first), SlotRef::new(links.last)) {
        (None, None) => true,
        (Some(first), Some(last)) => {
            Link::decode(links_of(first).prev) == up && Link::decode(links_of(last).next) == up
        }
        _ => false,
    };
    ensure(before && after && below, 1, slot)
}

/// Walk the trees of a chain of roots; how many capabilities they have.
fn roots(slots: &impl Slots, first: SlotRef, limit: u64) -> Result<u64, Violation> {
    let mut count = 0;
    let mut here = first;
    loop {
        count += 1;
        ensure(count <= limit, 2, here)?;
        let links = slots.read(here).links;
        if let Some(child) = SlotRef::new(links.first) {
            family(slots, here, child, limit)?;
            here = child;
            continue;
        }
        // Up until there is a younger sibling.
        let mut link = links.next;
        here = loop {
            match Link::decode(link) {
                Link::None => return Ok(count),
                Link::Sibling(sibling) => break sibling,
                Link::Parent(parent) => link = slots.read(parent).links.next,
            }
        };
    }
}

/// Invariants 3 to 6 for a parent and its children.
fn family(slots: &impl Slots, parent: SlotRef, first: SlotRef, limit: u64) -> Result<(), Violation> {
    let above = slots.read(parent).cap;
    let mut here = first;
    let mut seen = 0;
    loop {
        seen += 1;
        ensure(seen <= limit, 2, here)?;
        let Slot { cap, links } = slots.read(here);
        if above.kind() == ObjectType::Untyped {
            let top = above.object + above.badge * PAGE_SIZE;
            ensure(cap.object >= above.object && end(&cap) <= top, 3, here)?;
        } else {
            ensure(derives(&above, &cap), 4, here)?;
            let fewer = above.rights().has(cap.rights()) || cap.kind() == ObjectType::Interrupt;
            ensure(fewer && (above.badge == cap.badge || !badged(&above)), 6, here)?;
        }
        let Link::Sibling(next) = Link::decode(links.next) else { return Ok(()) };
        let younger = slots.read(next).cap;
        if above.kind() == ObjectType::Untyped {
            ensure(younger.same_object(&cap) || end(&younger) <= cap.object, 3, next)?;
        }
        here = next;
    }
}

fn end(cap: &Cap) -> u64 {
    cap.object + (1u64 << cap.size_bits)
}

fn badged(cap: &Cap) -> bool {
    matches!(cap.kind(), ObjectType::Endpoint | ObjectType::Notification) && cap.badge != 0
}

/// Whether a capability may be a child of one that is not untyped.
fn derives(above: &Cap, cap: &Cap) -> bool {
    match (above.kind(), cap.kind()) {
        (ObjectType::Machine, ObjectType::Interrupt) => true,
        (ObjectType::PortRange, ObjectType::PortRange) => {
            let ((low, high), (first, last)) = (above.port_range(), cap.port_range());
            low <= first && first <= last && last <= high
        }
        _ => above.same_object(cap),
    }
}
