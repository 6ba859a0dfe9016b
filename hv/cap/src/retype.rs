// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making objects out of untyped memory.
//!
//! Memory is handed out from the bottom up. The books of an untyped capability are a *watermark*
//! (pages handed out, `badge`) and a *clear mark* (`aux`): every page from the watermark up to the
//! clear mark is zero. When nothing is derived from it any more, all of it is free again and
//! nothing about it is known.
//!
//! Objects are made of zeroed pages only. Clearing takes long, so it is done in steps of bounded
//! size, each of which is entered in the books: a system call that stops between two steps loses
//! nothing when it begins again. Untyped memory made of untyped memory is not cleared; its own
//! books begin with nothing known.

use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::{PAGE_BITS, PAGE_SIZE};

use crate::derive::{empty, filled};
use crate::slot::{Cap, SlotRef, Slots};
use crate::tree;

/// Most objects made at once.
pub const MAX_COUNT: u64 = 256;

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    kind: ObjectType,
    size_bits: u8,
    count: u64,
}

impl Shape {
    /// Check type, size and number of the objects.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn new(kind: u64, size_bits: u64, count: u64) -> Result<Self, Error> {
        let kind = ObjectType::from_number(kind).ok_or(Error::InvalidArgument)?;
        let (low, high) = kind.size_bits().ok_or(Error::InvalidArgument)?;
        let size_bits = u8::try_from(size_bits).map_err(|_| Error::InvalidArgument)?;
        if size_bits < low || size_bits > high || count == 0 || count > MAX_COUNT {
            return Err(Error::InvalidArgument);
        }
        Ok(Self { kind, size_bits, count })
    }

    /// Word 0 of `UntypedRetype`: type | size bits << 8 | count << 16.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn from_word(word: u64) -> Result<Self, Error> {
        Self::new(word & 0xff, word >> 8 & 0xff, word >> 16)
    }

    /// What each object is.
    #[must_use]
    pub fn kind(self) -> ObjectType {
        self.kind
    }

    /// log2 of the bytes of each.
    #[must_use]
    pub fn size_bits(self) -> u8 {
        self.size_bits
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u64 {
        self.count
    }
}

/// The books of untyped memory, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Books {
    used: u64,
    clear: u64,
}

impl Books {
    /// The books as they are in truth: memory without objects is free as a whole.
    fn read(slots: &impl Slots, slot: SlotRef, cap: &Cap) -> Self {
        // A watermark of 0 means that nothing was handed out since the clearing began: the mark
        // holds.
        if cap.badge != 0 && !tree::has_descendants(slots, slot) {
            return Self { used: 0, clear: 0 };
        }
        Self { used: cap.badge, clear: cap.aux }
    }

    fn write(self, slots: &mut impl Slots, slot: SlotRef) {
        let mut cap = slots.read(slot).cap;
        cap.badge = self.used;
        cap.aux = self.clear;
        slots.write_cap(slot, cap);
    }
}

/// Bytes of untyped memory that no object has been given; 0 for another capability.
#[must_use]
pub fn unused_bytes(slots: &impl Slots, untyped: SlotRef) -> u64 {
    let cap = slots.read(untyped).cap;
    if cap.kind() != ObjectType::Untyped {
        return 0;
    }
    (1u64 << cap.size_bits).saturating_sub(Books::read(slots, untyped, &cap).used * PAGE_SIZE)
}

/// Objects that are about to be made: `UntypedRetype`.
#[derive(Debug)]
pub struct Retype {
    untyped: SlotRef,
    base: u64,
    shape: Shape,
    to: SlotRef,
    /// First page of the first object, page after the last object, page up to which this is zero.
    start: u64,
    end: u64,
    clear: u64,
}

/// What has to be done next.
#[derive(Debug)]
pub enum Step {
    /// Clear some memory, then go on.
    Clear(Clearing),
    /// All of it is zero.
    Perform(Make),
}

impl Retype {
    /// The objects go to `count` slots from `to` on. That these are slots of one CNode, the caller
    /// knows.
    ///
    /// # Errors
    /// `InvalidCapability` for what is not untyped, `MissingRights` without MANAGE,
    /// `NotEnoughMemory`, `SlotOccupied`.
    pub fn decode(slots: &impl Slots, untyped: SlotRef, shape: Shape, to: SlotRef) -> Result<Self, Error> {
        let cap = filled(slots, untyped)?;
        if cap.kind() != ObjectType::Untyped {
            return Err(Error::InvalidCapability);
        }
        if !cap.rights().has(Rights::MANAGE) {
            return Err(Error::MissingRights);
        }
        let books = Books::read(slots, untyped, &cap);
        // Sizes are at most 2^47 and counts at most 2^8: nothing below overflows.
        let pages = 1u64 << (shape.size_bits - PAGE_BITS);
        let start = books.used.next_multiple_of(pages);
        let end = start + pages * shape.count;
        if end > 1u64 << (cap.size_bits - PAGE_BITS) {
            return Err(Error::NotEnoughMemory);
        }
        for index in 0..shape.count {
            empty(slots, to.after(index))?;
        }
        Ok(Self { untyped, base: cap.object, shape, to, start, end, clear: books.clear.max(start) })
    }

    /// The next thing to do; at most `limit` pages (1 if 0) are to be cleared at once.
    #[must_use]
    pub fn step(self, limit: u64) -> Step {
        if self.shape.kind == ObjectType::Untyped || self.clear >= self.end {
            return Step::Perform(Make(self));
        }
        let pages = limit.max(1).min(self.end - self.clear);
        Step::Clear(Clearing { retype: self, pages })
    }
}

/// Memory that has to be cleared before objects can be made of it.
#[derive(Debug)]
pub struct Clearing {
    retype: Retype,
    pages: u64,
}

impl Clearing {
    /// Physical address.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.retype.base + self.retype.clear * PAGE_SIZE
    }

    /// Bytes, a multiple of the page size.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pages * PAGE_SIZE
    }

    /// Enter into the books that the memory has been cleared.
    ///
    /// Pages left out to align the objects are given up here, and not only when the objects are
    /// made: otherwise the clear mark would claim them.
    pub fn done(self, slots: &mut impl Slots) -> Retype {
        let Self { mut retype, pages } = self;
        retype.clear += pages;
        Books { used: retype.start, clear: retype.clear }.write(slots, retype.untyped);
        retype
    }
}

/// Objects whose memory is ready.
#[derive(Debug)]
pub struct Make(Retype);

impl Make {
    /// The capability to each object and the slot that it goes to.
    pub fn objects(&self) -> impl Iterator<Item = (SlotRef, Cap)> + use<> {
        let Retype { base, shape, to, start, .. } = self.0;
        let first = base + start * PAGE_SIZE;
        (0..shape.count).map(move |index| {
            let object = first + (index << shape.size_bits);
            (to.after(index), Cap::new(shape.kind, Rights::ALL, shape.size_bits, object))
        })
    }

    /// Do it. The core initialises what is not zero in an object before.
    pub fn perform(self, slots: &mut impl Slots) {
        // What was handed out is no longer known to be zero, whoever takes it back.
        Books { used: self.0.end, clear: self.0.clear.max(self.0.end) }.write(slots, self.0.untyped);
        for (slot, cap) in self.objects() {
            tree::insert_child(slots, self.0.untyped, slot, cap);
        }
    }
}
