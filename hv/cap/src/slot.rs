// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot and what is in it: a capability and four links.
//!
//! Owns the layout (64 bytes, one cache line; zeroed memory is an empty slot) and the access trait.
//! What the links mean belongs to [`crate::tree`].

use core::num::NonZeroU64;

use abi::object::{ObjectType, SLOT_BITS};
use abi::rights::Rights;

/// Bytes from one slot to the next.
pub const SLOT_SIZE: u64 = 1 << SLOT_BITS;

/// The place of a slot: a multiple of [`SLOT_SIZE`] that is not zero (in the core, an address), so
/// that the following slot of a CNode is [`SlotRef::after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRef(NonZeroU64);

impl SlotRef {
    /// The slot at this place; `None` for zero and for what is no multiple of [`SLOT_SIZE`].
    #[must_use]
    pub const fn new(place: u64) -> Option<Self> {
        match NonZeroU64::new(place) {
            Some(place) if place.get().is_multiple_of(SLOT_SIZE) => Some(Self(place)),
            _ => None,
        }
    }

    /// The place.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The slot that is `count` slots further on. The caller knows that it exists.
    #[must_use]
    pub const fn after(self, count: u64) -> Self {
        // Wrapping cannot happen for a slot that exists; if it did, we would keep the old place.
        match self.0.checked_add(count.wrapping_mul(SLOT_SIZE)) {
            Some(place) => Self(place),
            None => self,
        }
    }
}

/// A capability.
///
/// | kind | `object` | `badge` | `aux` |
/// |---|---|---|---|
/// | Untyped | physical address | pages handed out | page up to which it is known to be zero |
/// | Frame | physical address | the space it is mapped in, 0 for none | the address of the mapping |
/// | Endpoint, Notification | physical address | badge | - |
/// | other objects in memory | physical address | - | for the core's use |
/// | PortRange | first port, last port << 16 | - | - |
/// | Interrupt, Cpu | number | - | - |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Cap {
    /// Number of an [`ObjectType`].
    pub kind: u8,
    /// Bits of [`Rights`].
    pub rights: u8,
    /// log2 of the object's bytes; 0 where it is not made of memory.
    pub size_bits: u8,
    /// For the core's use; a derived capability begins with none.
    pub flags: u8,
    /// For the core's use; a derived capability begins with 0.
    pub extra: u32,
    /// See the table.
    pub object: u64,
    /// See the table.
    pub badge: u64,
    /// See the table.
    pub aux: u64,
}

impl Cap {
    /// What an empty slot holds.
    pub const NULL: Self =
        Self { kind: 0, rights: 0, size_bits: 0, flags: 0, extra: 0, object: 0, badge: 0, aux: 0 };

    /// A capability with no badge and nothing in its books.
    #[must_use]
    pub const fn new(kind: ObjectType, rights: Rights, size_bits: u8, object: u64) -> Self {
        Self {
            kind: kind as u8,
            rights: rights.bits(),
            size_bits,
            flags: 0,
            extra: 0,
            object,
            badge: 0,
            aux: 0,
        }
    }

    /// A capability to the ports from `first` to `last`, both included.
    #[must_use]
    pub const fn ports(first: u16, last: u16, rights: Rights) -> Self {
        Self::new(ObjectType::PortRange, rights, 0, first as u64 | (last as u64) << 16)
    }

    /// First and last port of a capability to ports.
    #[must_use]
    pub const fn port_range(&self) -> (u16, u16) {
        (self.object as u16, (self.object >> 16) as u16)
    }

    /// What it refers to.
    #[must_use]
    pub const fn kind(&self) -> ObjectType {
        match ObjectType::from_number(self.kind as u64) {
            Some(kind) => kind,
            None => ObjectType::Null,
        }
    }

    /// Its rights.
    #[must_use]
    pub const fn rights(&self) -> Rights {
        Rights::from_bits(self.rights as u64)
    }

    /// Whether it is none.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        self.kind == 0
    }

    /// Whether both refer to one object. Untyped memory is never the same: it has one capability.
    #[must_use]
    pub fn same_object(&self, other: &Self) -> bool {
        self.kind == other.kind && self.object == other.object && self.kind() != ObjectType::Untyped
    }
}

/// The links of the tree of derivations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Links {
    /// The elder sibling; the parent, marked, in the first child; 0 in the first of the roots that
    /// are siblings.
    pub(crate) prev: u64,
    /// The younger sibling; the parent, marked, in the last child; 0 likewise.
    pub(crate) next: u64,
    /// The first child, or 0.
    pub(crate) first: u64,
    /// The last child, or 0.
    pub(crate) last: u64,
}

/// One slot. All zero is an empty slot; every pattern of bits is a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Slot {
    /// The capability.
    pub cap: Cap,
    /// Its place in the tree of derivations.
    pub links: Links,
}

const _: () = assert!(size_of::<Slot>() as u64 == SLOT_SIZE && size_of::<Cap>() == 32);

impl Slot {
    /// An empty slot.
    pub const EMPTY: Self = Self { cap: Cap::NULL, links: Links { prev: 0, next: 0, first: 0, last: 0 } };
}

impl Links {
    /// The links as four words, and back: for memory that is accessed word by word.
    #[must_use]
    pub const fn to_words(self) -> [u64; 4] {
        [self.prev, self.next, self.first, self.last]
    }

    /// The links in these words.
    #[must_use]
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self { prev: words[0], next: words[1], first: words[2], last: words[3] }
    }
}

/// Access to all slots.
///
/// Capability and links are written apart, so that a change in the neighbourhood never touches the
/// words that another CPU may be reading without a lock.
pub trait Slots {
    /// What is in the slot.
    fn read(&self, slot: SlotRef) -> Slot;
    /// Replace the capability.
    fn write_cap(&mut self, slot: SlotRef, cap: Cap);
    /// Replace the links.
    fn write_links(&mut self, slot: SlotRef, links: Links);
}
