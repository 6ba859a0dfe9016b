// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree of derivations.
//!
//! Every capability has a first and a last child and two siblings; the outer links of the first and
//! the last child lead back to the parent. So every operation here touches a handful of slots,
//! however many capabilities there are: in particular, [`unlink`] puts the children in their
//! parent's place by changing four links. (One list in pre-order with a depth per entry, which
//! needs fewer links, cannot do that: taking an entry out would make its children descendants of
//! the sibling before it.)
//!
//! Functions here check nothing about rights; the commands in the sibling modules do.

use abi::object::ObjectType;

use crate::slot::{Cap, Links, SlotRef, Slots};

/// Marks a link of a first or last child that leads to the parent.
const PARENT: u64 = 1;

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    None,
    Sibling(SlotRef),
    Parent(SlotRef),
}

impl Link {
    pub(crate) fn decode(link: u64) -> Self {
        match SlotRef::new(link & !PARENT) {
            None => Link::None,
            Some(slot) if link & PARENT != 0 => Link::Parent(slot),
            Some(slot) => Link::Sibling(slot),
        }
    }
}

fn change(slots: &mut impl Slots, slot: SlotRef, with: impl FnOnce(&mut Links)) {
    let mut links = slots.read(slot).links;
    with(&mut links);
    slots.write_links(slot, links);
}

/// Make the neighbour at the end of `link`, on the elder side, point to `to` (a raw link) where it
/// pointed to us.
fn set_before(slots: &mut impl Slots, link: u64, to: u64) {
    match Link::decode(link) {
        Link::None => {}
        Link::Sibling(sibling) => change(slots, sibling, |links| links.next = to),
        Link::Parent(parent) => change(slots, parent, |links| links.first = to & !PARENT),
    }
}

/// The same on the younger side.
fn set_after(slots: &mut impl Slots, link: u64, to: u64) {
    match Link::decode(link) {
        Link::None => {}
        Link::Sibling(sibling) => change(slots, sibling, |links| links.prev = to),
        Link::Parent(parent) => change(slots, parent, |links| links.last = to & !PARENT),
    }
}

/// Put a capability that is derived from nothing into an empty slot (at boot).
pub fn insert_root(slots: &mut impl Slots, slot: SlotRef, cap: Cap) {
    slots.write_links(slot, Links::default());
    slots.write_cap(slot, cap);
}

/// Put a capability derived from that in `parent` into an empty slot. It has no descendants.
pub fn insert_child(slots: &mut impl Slots, parent: SlotRef, slot: SlotRef, cap: Cap) {
    let first = slots.read(parent).links.first;
    let up = parent.get() | PARENT;
    let next = if first == 0 { up } else { first };
    slots.write_links(slot, Links { prev: up, next, first: 0, last: 0 });
    set_after(slots, next, slot.get());
    change(slots, parent, |links| links.first = slot.get());
    slots.write_cap(slot, cap);
}

/// Empty a slot. The children of its capability become children of its parent; the capability is
/// returned.
pub fn unlink(slots: &mut impl Slots, slot: SlotRef) -> Cap {
    let old = slots.read(slot);
    slots.write_cap(slot, Cap::NULL);
    slots.write_links(slot, Links::default());
    let Links { prev, next, first, last } = old.links;
    match (SlotRef::new(first), SlotRef::new(last)) {
        (Some(first), Some(last)) => {
            change(slots, first, |links| links.prev = prev);
            change(slots, last, |links| links.next = next);
            set_before(slots, prev, first.get());
            set_after(slots, next, last.get());
        }
        _ => close_gap(slots, prev, next),
    }
    old.cap
}

/// Join the two neighbours of a slot that goes without leaving children.
fn close_gap(slots: &mut impl Slots, prev: u64, next: u64) {
    match (Link::decode(prev), Link::decode(next)) {
        // An only child: the parent has none now.
        (Link::Parent(parent), Link::Parent(_)) => change(slots, parent, |links| {
            links.first = 0;
            links.last = 0;
        }),
        _ => {
            set_before(slots, prev, next);
            set_after(slots, next, prev);
        }
    }
}

/// Move the capability from one slot to another, empty one; its place among the derivations stays.
pub fn move_slot(slots: &mut impl Slots, from: SlotRef, to: SlotRef) {
    let old = slots.read(from);
    let Links { prev, next, first, last } = old.links;
    slots.write_links(to, old.links);
    slots.write_cap(to, old.cap);
    slots.write_cap(from, Cap::NULL);
    slots.write_links(from, Links::default());
    set_before(slots, prev, to.get());
    set_after(slots, next, to.get());
    if let (Some(first), Some(last)) = (SlotRef::new(first), SlotRef::new(last)) {
        let up = to.get() | PARENT;
        change(slots, first, |links| links.prev = up);
        change(slots, last, |links| links.next = up);
    }
}

/// Whether anything is derived from the capability.
#[must_use]
pub fn has_descendants(slots: &impl Slots, slot: SlotRef) -> bool {
    slots.read(slot).links.first != 0
}

/// The slots of what was derived directly from the capability, the latest first.
pub fn children<S: Slots>(slots: &S, slot: SlotRef) -> impl Iterator<Item = SlotRef> {
    let mut next = SlotRef::new(slots.read(slot).links.first);
    core::iter::from_fn(move || {
        let this = next?;
        next = match Link::decode(slots.read(this).links.next) {
            Link::Sibling(sibling) => Some(sibling),
            _ => None,
        };
        Some(this)
    })
}

/// The next slot to empty so that in the end nothing is derived from the capability in `root`;
/// `None` when done.
///
/// The caller finalises what is in it (unmaps, stops, ...) and then calls [`unlink`]; what was
/// derived from that becomes a child of `root` and has its turn. After every step the tree is
/// consistent and the work left is less, so it may stop between any two steps and begin again
/// later.
#[must_use]
pub fn revoke_next(slots: &impl Slots, root: SlotRef) -> Option<SlotRef> {
    SlotRef::new(slots.read(root).links.first)
}

/// Whether no other capability refers to the same object: who deletes this one destroys the object.
///
/// All capabilities to an object that can come to an end (one made of memory, or an interrupt line)
/// stand together (invariant 5), so a look at the neighbours is enough. For ports and the machine
/// the answer means nothing.
#[must_use]
pub fn is_last(slots: &impl Slots, slot: SlotRef) -> bool {
    let this = slots.read(slot);
    if this.cap.kind() == ObjectType::Untyped {
        return true;
    }
    let Links { prev, next, first, .. } = this.links;
    ![prev, next, first].into_iter().any(|link| match Link::decode(link) {
        Link::None => false,
        Link::Sibling(other) | Link::Parent(other) => slots.read(other).cap.same_object(&this.cap),
    })
}
