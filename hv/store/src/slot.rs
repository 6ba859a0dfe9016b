// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capability slots in memory.
//!
//! A slot is named by its address in the core's address space. Capabilities are read without a lock
//! by every CPU that looks one up, while the holder of the capability lock may be filling an empty
//! slot: so a capability is written and read word by word, the word with its kind last and first
//! (release and acquire). A filled slot is emptied or changed only with the other CPUs stopped.

use crate::reference::{Ref, Tag};
use crate::{GuestSpace, Thread, Vcpu, line_of_slot};
use abi::object::SLOT_BITS;
use cap::{Cap, Links, Slot, SlotRef, Slots};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_machine::window;

/// Slots inside an object.
#[repr(C, align(64))]
pub struct SlotArray<const N: usize> {
    slots: UnsafeCell<[Slot; N]>,
}

impl<const N: usize> SlotArray<N> {
    /// Empty slots.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: UnsafeCell::new([Slot::EMPTY; N]) }
    }

    /// The slot with this index (cut to the last one).
    #[must_use]
    pub fn at(&self, index: usize) -> SlotRef {
        let first = self.slots.get() as u64;
        let place = first + ((index.min(N - 1) as u64) << SLOT_BITS);
        SlotRef::new(place).expect("slots are aligned and not at zero")
    }
}

impl<const N: usize> Default for SlotArray<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The slot with this index in a CNode.
#[must_use]
pub fn slot_at(cnode: u64, index: u64) -> SlotRef {
    SlotRef::new(window::to_virt(cnode) + (index << SLOT_BITS)).expect("CNodes are aligned and not at zero")
}

fn word(slot: SlotRef, index: usize) -> &'static AtomicU64 {
    // SAFETY: a `SlotRef` is made by `slot_at` (a CNode of the estate: memory with an object in it
    // does not leave the window) and by `SlotArray::at` (part of an object or of a static), and
    // those slots are only ever accessed through here. An index below 8 stays in the slot.
    unsafe { &*(slot.get() as *const AtomicU64).add(index & 7) }
}

/// The capability in a slot, read without a lock.
#[must_use]
pub fn peek(slot: SlotRef) -> Cap {
    let head = word(slot, 0).load(Ordering::Acquire);
    let [kind, rights, size_bits, flags, extra @ ..] = head.to_le_bytes();
    Cap {
        kind,
        rights,
        size_bits,
        flags,
        extra: u32::from_le_bytes(extra),
        object: word(slot, 1).load(Ordering::Relaxed),
        badge: word(slot, 2).load(Ordering::Relaxed),
        aux: word(slot, 3).load(Ordering::Relaxed),
    }
}

/// All slots of the estate, as the capability logic sees them. To be used by the holder of the
/// capability lock.
pub struct SlotMemory;

impl Slots for SlotMemory {
    fn read(&self, slot: SlotRef) -> Slot {
        let links = [4, 5, 6, 7].map(|index| word(slot, index).load(Ordering::Relaxed));
        Slot { cap: peek(slot), links: Links::from_words(links) }
    }

    fn write_cap(&mut self, slot: SlotRef, cap: Cap) {
        for (index, value) in [(1, cap.object), (2, cap.badge), (3, cap.aux)] {
            word(slot, index).store(value, Ordering::Relaxed);
        }
        let [e0, e1, e2, e3] = cap.extra.to_le_bytes();
        let head = u64::from_le_bytes([cap.kind, cap.rights, cap.size_bits, cap.flags, e0, e1, e2, e3]);
        word(slot, 0).store(head, Ordering::Release);
    }

    fn write_links(&mut self, slot: SlotRef, links: Links) {
        for (index, value) in links.to_words().into_iter().enumerate() {
            word(slot, 4 + index).store(value, Ordering::Relaxed);
        }
    }
}

/// The object that a slot is part of.
#[derive(Clone, Copy, Debug)]
pub enum Container {
    /// A thread, and the index of the slot in it.
    Thread(Ref<Thread>, usize),
    /// A guest space (its pager).
    GuestSpace(Ref<GuestSpace>),
    /// A vCPU (its guest space).
    Vcpu(Ref<Vcpu>),
    /// An interrupt line (its notification).
    Line(usize),
}

/// The object that an embedded slot is part of. Only for slots whose capability carries the mark of
/// being embedded: the first word of the page of any other slot says nothing.
#[must_use]
pub fn container(slot: SlotRef) -> Option<Container> {
    if let Some(line) = line_of_slot(slot.get()) {
        return Some(Container::Line(line));
    }
    let page = window::to_phys(slot.get()) & !(abi::PAGE_SIZE - 1);
    let tag = crate::read_word(page, 0);
    if tag == Tag::Thread as u64 {
        let thread = Ref::<Thread>::from_address(page)?;
        let index = (slot.get() - thread.slots.at(0).get()) >> SLOT_BITS;
        return Some(Container::Thread(thread, index as usize));
    }
    if tag == Tag::GuestSpace as u64 {
        return Some(Container::GuestSpace(Ref::from_address(page)?));
    }
    if tag == Tag::Vcpu as u64 {
        return Some(Container::Vcpu(Ref::from_address(page)?));
    }
    None
}
