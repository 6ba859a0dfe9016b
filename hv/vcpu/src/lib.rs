// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be known about a virtual CPU without a processor that runs it.
//!
//! Owns the meaning of exits (`exit`), of injected events (`event`), which states a VMM may give to
//! a vCPU (`state`, `fpu`, measured against `limits`). Everything a VMM gives is alleged until it
//! has passed here; what passes can neither be refused by VMRUN (APM vol. 2, 15.5.1) nor fault in
//! the core when it is put into a register. How a vendor reports an exit, and what it is told to
//! intercept, is in `svm`.
#![no_std]
#![forbid(unsafe_code)]

pub mod event;
pub mod exit;
pub mod fpu;
pub mod limits;
pub mod state;

/// Which field of the state was refused; the number is what a VMM reads in info0 of
/// `Exit::InvalidState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum InvalidField {
    /// The event to inject: reserved bits, type, or a vector that does not go with the type.
    Event = 1,
    /// CR0.
    Cr0 = 2,
    /// CR3.
    Cr3 = 3,
    /// CR4.
    Cr4 = 4,
    /// CR8.
    Cr8 = 5,
    /// EFER, alone or together with CR0 and CR4.
    Efer = 6,
    /// XCR0.
    Xcr0 = 7,
    /// Current privilege level.
    Cpl = 8,
    /// DR6 or DR7.
    Debug = 9,
    /// A segment's base or attributes.
    Segment = 10,
    /// An address that has to be canonical.
    Address = 11,
    /// The page attribute table.
    Pat = 12,
    /// `TSC_AUX`.
    TscAux = 13,
    /// The header of the XSAVE area.
    XsaveHeader = 14,
    /// MXCSR.
    Mxcsr = 15,
}
