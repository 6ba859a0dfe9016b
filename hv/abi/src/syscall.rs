// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls: number and registers.
//!
//! Entered by SYSCALL. In: RAX = number, RDI = capability, RSI = message info, RDX R8 R9 R10 =
//! message words 0 to 3, R12 = reply capability, R13 = deadline. Out: RAX = status
//! ([`crate::error::Error`], 0 for success), RDI = badge, RSI = message info, RDX R8 R9 R10 =
//! message words 0 to 3. RCX and R11 are lost to the instruction; every other register is
//! preserved.
//!
//! A *deadline* is a value of the TSC: [`POLL`] never waits, [`FOREVER`] waits without end. It
//! counts for [`Syscall::Call`] on an endpoint, [`Syscall::ReplyReceive`], [`Syscall::Receive`] and
//! [`Syscall::Wait`]. A call whose deadline passes is answered with
//! [`crate::error::Error::TimedOut`]; its receiver may have worked, and what it replies goes to
//! nobody.

/// Deadline of a call that does not wait.
pub const POLL: u64 = 0;
/// Deadline that never comes.
pub const FOREVER: u64 = u64::MAX;

/// System call numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Syscall {
    /// On an endpoint: send a message and wait for the reply. On any other object: an invocation
    /// ([`crate::invocation::Invocation`] is the label), answered by the core.
    Call = 0,
    /// Answer the caller held by the reply object in R12 with the message, then receive as
    /// [`Syscall::Receive`] does.
    ReplyReceive = 1,
    /// Wait for a message on an endpoint; the caller will be held by the reply object in R12. A
    /// signal to the thread's bound notification ends it too, with
    /// [`crate::message::Info::is_notification`] set and the word as badge.
    Receive = 2,
    /// Answer the caller held by the reply object in RDI.
    Reply = 3,
    /// OR the capability's badge (1 where it has none) into a notification and wake its waiter.
    Signal = 4,
    /// Wait until the notification's word is not zero; take the word (as badge).
    Wait = 5,
    /// Run a virtual CPU until its next exit ([`crate::vcpu`]); the exit is in its page.
    VcpuRun = 6,
    /// Let the next thread of the same priority run.
    Yield = 7,
}

impl Syscall {
    /// The call with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Syscall::Call,
            1 => Syscall::ReplyReceive,
            2 => Syscall::Receive,
            3 => Syscall::Reply,
            4 => Syscall::Signal,
            5 => Syscall::Wait,
            6 => Syscall::VcpuRun,
            7 => Syscall::Yield,
            _ => return None,
        })
    }
}
