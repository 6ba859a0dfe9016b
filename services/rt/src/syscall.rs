// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls: the one place where the processor leaves for the core.
//!
//! One function per call of [`abi::syscall`], with register words only; whoever wants more puts it
//! into the IPC buffer first ([`crate::ipc`]). A capability pointer is a number: what may be done
//! with it is checked by the core, so every call here is safe.

use core::arch::asm;

use abi::CPtr;
use abi::error::Error;
use abi::message::Info;
use abi::syscall::{FOREVER, Syscall};

/// Words of a message that travel in registers.
pub type Words = [u64; 4];

/// What comes back from the core.
#[derive(Clone, Copy, Debug)]
pub struct Returned {
    /// RAX.
    pub status: u64,
    /// RDI: badge, or word of a notification.
    pub badge: u64,
    /// RSI.
    pub info: Info,
    /// RDX, R8, R9, R10.
    pub words: Words,
}

impl Returned {
    /// The error in the status, if there is one.
    ///
    /// # Errors
    /// As the core says.
    pub fn check(self) -> Result<Self, Error> {
        Error::from_status(self.status).map(|()| self)
    }
}

/// Any system call, with any registers.
#[inline(always)]
pub fn raw(number: u64, cap: CPtr, info: u64, words: Words, reply: CPtr, deadline: u64) -> Returned {
    let (status, badge, info_out): (u64, u64, u64);
    let mut words = words;
    // SAFETY: The core changes no memory of the caller but its IPC buffer and vCPU pages, which
    // this crate only hands out through raw pointers or passes to the call; registers are declared
    // as `abi::syscall` says. The stack is not used.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") cap => badge,
            inlateout("rsi") info => info_out,
            inlateout("rdx") words[0],
            inlateout("r8") words[1],
            inlateout("r9") words[2],
            inlateout("r10") words[3],
            in("r12") reply,
            in("r13") deadline,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    Returned { status, badge, info: Info(info_out), words }
}

/// Sends a message and waits for the reply.
///
/// # Errors
/// As the core says; `ReplyLost` where the receiver died, `TimedOut` after the deadline.
#[inline(always)]
pub fn call(cap: CPtr, info: Info, words: Words, deadline: u64) -> Result<Returned, Error> {
    raw(Syscall::Call as u64, cap, info.0, words, 0, deadline).check()
}

/// The shortest call: four words, no deadline.
///
/// # Errors
/// As [`call`].
#[inline(always)]
pub fn call4(cap: CPtr, label: u32, words: Words) -> Result<Returned, Error> {
    call(cap, Info::new(label, 4), words, FOREVER)
}

/// Answers the caller held by `reply` and waits for the next.
///
/// # Errors
/// As the core says; `TimedOut` after the deadline.
#[inline(always)]
pub fn reply_receive(
    endpoint: CPtr,
    info: Info,
    words: Words,
    reply: CPtr,
    deadline: u64,
) -> Result<Returned, Error> {
    raw(Syscall::ReplyReceive as u64, endpoint, info.0, words, reply, deadline).check()
}

/// The shortest answer: four words, no deadline.
///
/// # Errors
/// As [`reply_receive`].
#[inline(always)]
pub fn reply_receive4(endpoint: CPtr, label: u32, words: Words, reply: CPtr) -> Result<Returned, Error> {
    reply_receive(endpoint, Info::new(label, 4), words, reply, FOREVER)
}

/// Waits for a message; the caller will be held by `reply`.
///
/// # Errors
/// As the core says; `TimedOut` after the deadline.
#[inline(always)]
pub fn receive(endpoint: CPtr, reply: CPtr, deadline: u64) -> Result<Returned, Error> {
    raw(Syscall::Receive as u64, endpoint, 0, [0; 4], reply, deadline).check()
}

/// Answers the caller held by `reply`.
///
/// # Errors
/// As the core says.
#[inline(always)]
pub fn reply(reply: CPtr, info: Info, words: Words) -> Result<(), Error> {
    raw(Syscall::Reply as u64, reply, info.0, words, 0, 0).check().map(|_| ())
}

/// Signals a notification.
///
/// # Errors
/// As the core says.
#[inline(always)]
pub fn signal(notification: CPtr) -> Result<(), Error> {
    raw(Syscall::Signal as u64, notification, 0, [0; 4], 0, 0).check().map(|_| ())
}

/// Waits for a notification and takes its word.
///
/// # Errors
/// As the core says; `TimedOut` after the deadline.
#[inline(always)]
pub fn wait(notification: CPtr, deadline: u64) -> Result<u64, Error> {
    raw(Syscall::Wait as u64, notification, 0, [0; 4], 0, deadline).check().map(|out| out.badge)
}

/// Runs a virtual CPU until its next exit. Prefer [`crate::vm::VirtualCpu`], which owns the page.
///
/// # Errors
/// As the core says.
#[inline(always)]
pub fn vcpu_run(vcpu: CPtr) -> Result<(), Error> {
    raw(Syscall::VcpuRun as u64, vcpu, 0, [0; 4], 0, 0).check().map(|_| ())
}

/// Lets the next thread of the same priority run.
#[inline(always)]
pub fn yield_now() {
    let _ = raw(Syscall::Yield as u64, 0, 0, [0; 4], 0, 0);
}
