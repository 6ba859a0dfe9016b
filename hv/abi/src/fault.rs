// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages that the core sends to a handler on behalf of a thread.
//!
//! They arrive by the handler's endpoint as calls of the thread, marked by
//! [`crate::message::Info::is_fault`]; the label is the [`Fault`]. A reply with label 0 lets the
//! thread go on (for a page fault: execute the instruction again; for [`Fault::SealedWrite`]: run
//! the vCPU again); a reply with any other label leaves it suspended.

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// A page fault. Words: address, error code (SDM vol. 3A, 4.7), RIP, RSP.
    Page = 1,
    /// Any other exception. Words: vector, error code, RIP, RSP.
    Exception = 2,
    /// A vCPU, or a write on its behalf, met a page that is sealed. Words: guest-physical address
    /// of the page, 0, 0, 0. Sent to the pager of the guest space.
    SealedWrite = 3,
}

impl Fault {
    /// The fault with this label, if there is one.
    #[must_use]
    pub const fn from_label(label: u32) -> Option<Self> {
        Some(match label {
            1 => Fault::Page,
            2 => Fault::Exception,
            3 => Fault::SealedWrite,
            _ => return None,
        })
    }
}
