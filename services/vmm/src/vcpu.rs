// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual CPU as the monitor handles it.
//!
//! Owns the trait behind which the system calls stand, and small questions about, and changes of,
//! the page that monitor and core share. What an exit means is decided in [`crate::exit`].

use abi::error::Error;
use abi::vcpu::{Segment, VcpuPage, XSAVE_BYTES, event, group, segment};

/// One virtual CPU: its page, and what can be asked of the core.
pub trait Vcpu {
    /// The page shared with the core.
    fn page(&mut self) -> &mut VcpuPage;

    /// Runs the guest until its next exit.
    ///
    /// # Errors
    /// As the system call `VcpuRun`.
    fn run(&mut self) -> Result<(), Error>;

    /// Copies groups of state into the page.
    ///
    /// # Errors
    /// As the invocation `VcpuExport`.
    fn export(&mut self, groups: u64) -> Result<(), Error>;

    /// Copies groups of state out of the page.
    ///
    /// # Errors
    /// As the invocation `VcpuImport`.
    fn import(&mut self, groups: u64) -> Result<(), Error>;
}

/// RFLAGS bits.
pub mod flag {
    #![allow(missing_docs, reason = "the architecture's names")]
    pub const CARRY: u64 = 1;
    pub const PARITY: u64 = 1 << 2;
    pub const ADJUST: u64 = 1 << 4;
    pub const ZERO: u64 = 1 << 6;
    pub const SIGN: u64 = 1 << 7;
    pub const TRAP: u64 = 1 << 8;
    pub const INTERRUPT: u64 = 1 << 9;
    pub const DIRECTION: u64 = 1 << 10;
    pub const OVERFLOW: u64 = 1 << 11;
    pub const RESUME: u64 = 1 << 16;
    pub const ALIGNMENT: u64 = 1 << 18;
}

/// Exception vectors that the monitor injects.
pub mod vector {
    #![allow(missing_docs, reason = "the architecture's names")]
    pub const DEBUG: u64 = 1;
    pub const INVALID_OPCODE: u64 = 6;
    pub const GENERAL_PROTECTION: u64 = 13;
    pub const PAGE_FAULT: u64 = 14;
}

/// EFER.LMA.
pub const LONG_MODE_ACTIVE: u64 = 1 << 10;
const CODE_64BIT: u16 = 1 << 9;
const CODE_32BIT: u16 = 1 << 10;

/// Returns whether the guest executes 64-bit code.
#[must_use]
pub fn is_64bit(page: &VcpuPage) -> bool {
    page.efer & LONG_MODE_ACTIVE != 0 && page.segments[segment::CS].attributes & CODE_64BIT != 0
}

/// Width of the guest's code: 16, 32 or 64.
#[must_use]
pub fn bitness(page: &VcpuPage) -> u32 {
    if is_64bit(page) {
        64
    } else if page.segments[segment::CS].attributes & CODE_32BIT != 0 {
        32
    } else {
        16
    }
}

/// Goes on at `rip`, which is past an instruction that was carried out here.
pub fn advance(page: &mut VcpuPage, rip: u64) {
    page.rip = if is_64bit(page) { rip } else { rip & 0xffff_ffff };
    page.rflags &= !flag::RESUME;
    page.interruptible = u64::from(page.rflags & flag::INTERRUPT != 0);
    page.dirty |= group::BASIC;
}

/// Queues an exception without an error code.
pub fn raise(page: &mut VcpuPage, vector: u64) {
    page.inject = vector | event::EXCEPTION | event::VALID;
}

/// Queues an exception with an error code.
pub fn raise_with_code(page: &mut VcpuPage, vector: u64, code: u32) {
    page.inject = vector | event::EXCEPTION | event::HAS_ERROR | event::VALID | u64::from(code) << 32;
}

/// A page of a vCPU that has never run.
#[must_use]
pub const fn blank_page() -> VcpuPage {
    VcpuPage {
        dirty: 0,
        want: 0,
        deadline: u64::MAX,
        inject: 0,
        want_window: 0,
        exit: 0,
        info: [0; 4],
        pending_event: 0,
        interruptible: 0,
        interrupt_shadow: 0,
        exit_tsc: 0,
        reserved0: [0; 2],
        gpr: [0; 16],
        rip: 0,
        rflags: 2,
        cr0: 0,
        cr2: 0,
        cr3: 0,
        cr4: 0,
        cr8: 0,
        efer: 0,
        xcr0: 1,
        cpl: 0,
        dr: [0; 6],
        segments: [Segment { selector: 0, attributes: 0, limit: 0, base: 0 }; 10],
        star: 0,
        lstar: 0,
        cstar: 0,
        sfmask: 0,
        kernel_gs_base: 0,
        sysenter_cs: 0,
        sysenter_esp: 0,
        sysenter_eip: 0,
        pat: 0,
        tsc_aux: 0,
        tsc_offset: 0,
        reserved1: [0; 49],
        xsave: [0; XSAVE_BYTES],
    }
}
