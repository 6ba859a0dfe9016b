// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three pages of a vCPU: control block, the page shared with its VMM, and the core's private
//! one.
//!
//! The shared page may be changed by a VMM on another CPU at any instruction. So it is made of
//! atomics, each is read once where it matters, and nothing read from it is believed.

use super::vmcb::{SAVE_WORDS, Vmcb};
use crate::window;
use abi::vcpu::{VcpuPage, XSAVE_BYTES};
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A word of the shared page. No order between words is promised to a VMM that runs at the same
/// time.
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// Reads it, once.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Writes it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// [`VcpuPage`] as the core touches it.
#[repr(C, align(4096))]
#[allow(missing_docs, reason = "the fields are those of VcpuPage")]
pub struct SharedPage {
    pub dirty: Word,
    pub want: Word,
    pub deadline: Word,
    pub inject: Word,
    pub want_window: Word,
    pub exit: Word,
    pub info: [Word; 4],
    pub pending_event: Word,
    pub interruptible: Word,
    pub interrupt_shadow: Word,
    pub exit_tsc: Word,
    reserved0: [Word; 2],
    pub gpr: [Word; 16],
    pub rip: Word,
    pub rflags: Word,
    pub cr0: Word,
    pub cr2: Word,
    pub cr3: Word,
    pub cr4: Word,
    pub cr8: Word,
    pub efer: Word,
    pub xcr0: Word,
    pub cpl: Word,
    pub dr: [Word; 6],
    /// Low word (selector, attributes, limit) and base of each.
    pub segments: [[Word; 2]; 10],
    pub star: Word,
    pub lstar: Word,
    pub cstar: Word,
    pub sfmask: Word,
    pub kernel_gs_base: Word,
    pub sysenter_cs: Word,
    pub sysenter_esp: Word,
    pub sysenter_eip: Word,
    pub pat: Word,
    pub tsc_aux: Word,
    pub tsc_offset: Word,
    reserved1: [Word; 49],
    pub xsave: [Word; XSAVE_BYTES / 8],
}

const _: () = {
    assert!(size_of::<SharedPage>() == size_of::<VcpuPage>());
    assert!(offset_of!(SharedPage, exit_tsc) == offset_of!(VcpuPage, exit_tsc));
    assert!(offset_of!(SharedPage, gpr) == offset_of!(VcpuPage, gpr));
    assert!(offset_of!(SharedPage, cr8) == offset_of!(VcpuPage, cr8));
    assert!(offset_of!(SharedPage, dr) == offset_of!(VcpuPage, dr));
    assert!(offset_of!(SharedPage, segments) == offset_of!(VcpuPage, segments));
    assert!(offset_of!(SharedPage, star) == offset_of!(VcpuPage, star));
    assert!(offset_of!(SharedPage, tsc_offset) == offset_of!(VcpuPage, tsc_offset));
    assert!(offset_of!(SharedPage, xsave) == offset_of!(VcpuPage, xsave));
};

/// What of a vCPU neither the processor nor the VMM sees.
#[repr(C, align(4096))]
pub struct PrivatePage {
    /// The FPU's registers while they are not on a CPU; checked, so that restoring them cannot
    /// fault.
    pub(super) xsave: [Cell<u64>; XSAVE_BYTES / 8],
    /// DR0 to DR3 while they are not on a CPU.
    pub(super) dr: [Cell<u64>; 4],
    pub(super) xcr0: Cell<u64>,
    pub(super) tsc_aux: Cell<u64>,
    /// CPU whose registers hold this vCPU's FPU and debug registers, plus one; 0 for none.
    pub(super) home: AtomicU64,
    /// Event whose delivery the last exit cut short, until it is injected again or told to the VMM.
    pub(super) pending_event: Cell<u64>,
    /// Whether the state has been changed by a VMM since the processor last took it.
    pub(super) unproven: Cell<bool>,
    /// The state-save area as it was before an unproven state was tried.
    pub(super) snapshot: [Cell<u64>; SAVE_WORDS],
}

const _: () = assert!(size_of::<PrivatePage>() == 4096);

/// The pages of one vCPU.
#[derive(Clone, Copy)]
pub struct Pages {
    pub(super) vmcb: &'static Vmcb,
    /// The page shared with the VMM.
    pub shared: &'static SharedPage,
    pub(super) private: &'static PrivatePage,
    pub(super) vmcb_phys: u64,
}

impl Pages {
    /// The pages at these physical addresses.
    ///
    /// # Safety
    /// Each is the page-aligned address of a page in the window that belongs to this vCPU and to
    /// nothing else for as long as the value is used, and whose first and last page are touched by
    /// one CPU at a time.
    #[must_use]
    pub unsafe fn from_phys(vmcb: u64, shared: u64, private: u64) -> Self {
        // SAFETY: (1) by the caller the pages are mapped, aligned and the vCPU's own; (2) every bit
        // pattern is a value of the three types but for one `bool`, which starts zero because
        // objects are cleared when they are made.
        unsafe {
            Self {
                vmcb: &*(window::to_virt(vmcb) as *const Vmcb),
                shared: &*(window::to_virt(shared) as *const SharedPage),
                private: &*(window::to_virt(private) as *const PrivatePage),
                vmcb_phys: vmcb,
            }
        }
    }
}
