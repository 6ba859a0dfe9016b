// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layout of the control block (APM vol. 2, appendix B).
//!
//! The processor changes it during VMRUN and VMSAVE, which the compiler sees as assembly that may
//! touch any memory; between rounds it is this CPU's alone.

use core::cell::Cell;

/// A segment register: selector, attributes and limit in `low`, as [`abi::vcpu::Segment`] lays them
/// out.
#[repr(C)]
pub struct SegmentCells {
    /// Bits 0-15 selector, 16-31 attributes, 32-63 limit.
    pub low: Cell<u64>,
    /// Linear base.
    pub base: Cell<u64>,
}

/// The control block. The fields are those of the manual; `reserved` ones stay zero.
#[repr(C, align(4096))]
#[allow(missing_docs, reason = "the manual has them")]
pub struct Vmcb {
    pub intercept_cr: Cell<u32>,
    pub intercept_dr: Cell<u32>,
    pub intercept_exceptions: Cell<u32>,
    pub intercepts_1: Cell<u32>,
    pub intercepts_2: Cell<u32>,
    pub intercepts_3: Cell<u32>,
    reserved_18: Cell<[u8; 0x28]>,
    pub io_map: Cell<u64>,
    pub msr_map: Cell<u64>,
    pub tsc_offset: Cell<u64>,
    pub asid: Cell<u32>,
    pub tlb_control: Cell<u32>,
    pub interrupt_control: Cell<u32>,
    pub interrupt_vector: Cell<u32>,
    pub interrupt_shadow: Cell<u64>,
    pub exit_code: Cell<u64>,
    pub exit_info1: Cell<u64>,
    pub exit_info2: Cell<u64>,
    pub exit_int_info: Cell<u64>,
    pub nested_control: Cell<u64>,
    reserved_98: Cell<[u8; 0x10]>,
    pub event_injection: Cell<u64>,
    pub nested_root: Cell<u64>,
    pub lbr_control: Cell<u64>,
    pub clean: Cell<u64>,
    pub next_rip: Cell<u64>,
    reserved_d0: Cell<[u8; 0x330]>,
    /// ES CS SS DS FS GS GDTR LDTR IDTR TR.
    pub segments: [SegmentCells; 10],
    reserved_4a0: Cell<[u8; 0x2b]>,
    pub cpl: Cell<u8>,
    reserved_4cc: Cell<u32>,
    pub efer: Cell<u64>,
    reserved_4d8: Cell<[u8; 0x70]>,
    pub cr4: Cell<u64>,
    pub cr3: Cell<u64>,
    pub cr0: Cell<u64>,
    pub dr7: Cell<u64>,
    pub dr6: Cell<u64>,
    pub rflags: Cell<u64>,
    pub rip: Cell<u64>,
    reserved_580: Cell<[u8; 0x58]>,
    pub rsp: Cell<u64>,
    reserved_5e0: Cell<[u8; 0x18]>,
    pub rax: Cell<u64>,
    pub star: Cell<u64>,
    pub lstar: Cell<u64>,
    pub cstar: Cell<u64>,
    pub sfmask: Cell<u64>,
    pub kernel_gs_base: Cell<u64>,
    pub sysenter_cs: Cell<u64>,
    pub sysenter_esp: Cell<u64>,
    pub sysenter_eip: Cell<u64>,
    pub cr2: Cell<u64>,
    reserved_648: Cell<[u8; 0x20]>,
    pub pat: Cell<u64>,
    reserved_670: Cell<[u8; 0x990]>,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Vmcb>() == 4096);
    assert!(offset_of!(Vmcb, io_map) == 0x40);
    assert!(offset_of!(Vmcb, exit_code) == 0x70);
    assert!(offset_of!(Vmcb, event_injection) == 0xa8);
    assert!(offset_of!(Vmcb, next_rip) == 0xc8);
    assert!(offset_of!(Vmcb, segments) == 0x400);
    assert!(offset_of!(Vmcb, cpl) == 0x4cb);
    assert!(offset_of!(Vmcb, efer) == 0x4d0);
    assert!(offset_of!(Vmcb, cr4) == 0x548);
    assert!(offset_of!(Vmcb, rip) == 0x578);
    assert!(offset_of!(Vmcb, rsp) == 0x5d8);
    assert!(offset_of!(Vmcb, rax) == 0x5f8);
    assert!(offset_of!(Vmcb, cr2) == 0x640);
    assert!(offset_of!(Vmcb, pat) == 0x668);
};

/// Words of the state-save area that a guest's state is in: from the segments to PAT.
pub const SAVE_WORDS: usize = (0x670 - 0x400) / 8;

/// `tlb_control`: flush the translations of all guests and of the host. Every processor knows it.
pub const FLUSH_ALL: u32 = 1;
/// `tlb_control`: flush the translations of this guest.
pub const FLUSH_GUEST: u32 = 3;

/// Bits of `interrupt_control`.
pub mod interrupt_control {
    /// The guest's CR8.
    pub const TPR: u32 = 0xff;
    /// A virtual interrupt is pending, of the highest priority and whatever CR8 says.
    pub const PENDING: u32 = 1 << 8 | 0xf << 16 | 1 << 20;
    /// The host's RFLAGS.IF decides about physical interrupts; CR8 is virtual.
    pub const MASKING: u32 = 1 << 24;
}

impl Vmcb {
    /// The state-save area as words.
    #[must_use]
    pub fn save_area(&self) -> &[Cell<u64>; SAVE_WORDS] {
        let first = core::ptr::from_ref(self).cast::<Cell<u64>>().wrapping_add(0x400 / 8);
        // SAFETY: (1) the words lie within the block, aligned: SAVE_WORDS end at 0x670; (2) every
        // field there is a cell, so changing it through another cell is allowed; (3) cells of this
        // CPU are not shared with another.
        unsafe { &*first.cast() }
    }

    /// The words of the whole block.
    #[must_use]
    pub fn words(&self) -> &[Cell<u64>; 512] {
        // SAFETY: (1) the block is 4096 bytes, aligned; (2) every field is a cell, so changing it
        // through another cell is allowed; (3) cells of this CPU are not shared with another.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}
