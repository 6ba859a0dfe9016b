// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a vCPU: a header page, the processor's control block, the page shared with the
//! VMM, and the extended state.

use crate::GuestSpace;
use crate::reference::{Object, Ref, Tag};
use crate::slot::SlotArray;
use abi::PAGE_SIZE;
use abi::object::ObjectType;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32};
use queue::Post;
use x86_machine::svm;

/// The header of a vCPU.
#[repr(C)]
pub struct Vcpu {
    /// [`Tag::Vcpu`].
    pub tag: Cell<u64>,
    /// Its guest memory.
    pub space: Cell<Option<Ref<GuestSpace>>>,
    /// Generation of the space's tables when it last ran.
    pub generation: Cell<u64>,
    /// Somebody wants it to return.
    pub kicked: AtomicBool,
    /// CPU on which a thread runs it or touches its state now, plus one: the claim without which no
    /// cell of it or of its pages is touched (but for what is changed with every CPU stopped).
    pub running_on: AtomicU32,
    /// Its place in an inbox while its registers are wanted elsewhere.
    pub post: Post,
    /// CPU on which it last ran, plus one.
    pub last_cpu: Cell<u32>,
    /// Page that it could not write and that has to be looked at, plus one; 0 for none.
    pub sealed_write: Cell<u64>,
    /// Slot of its guest space.
    pub space_slot: SlotArray<1>,
    /// A frame capability to the shared page, for mapping it; derived from nothing.
    pub page_slot: SlotArray<1>,
}

const _: () = assert!(size_of::<Vcpu>() <= PAGE_SIZE as usize);

// SAFETY: cells and atomics only, zero is valid, and the size is checked above.
unsafe impl Object for Vcpu {
    const TYPE: ObjectType = ObjectType::Vcpu;
}

impl Vcpu {
    /// Physical address of the page that the VMM shares.
    #[must_use]
    pub fn shared_page(this: Ref<Self>) -> u64 {
        this.address() + 2 * PAGE_SIZE
    }

    /// The pages that the processor backend works on.
    #[must_use]
    pub fn pages(this: Ref<Self>) -> svm::Pages {
        // SAFETY: claim 2: the reference names a vCPU object, whose four pages retype cleared and
        // gave to it alone.
        unsafe {
            svm::Pages::from_phys(
                this.address() + PAGE_SIZE,
                Self::shared_page(this),
                this.address() + 3 * PAGE_SIZE,
            )
        }
    }

    /// Mark the memory as a vCPU, right after it was retyped.
    pub fn initialise(this: Ref<Self>) {
        this.tag.set(Tag::Vcpu as u64);
    }
}
