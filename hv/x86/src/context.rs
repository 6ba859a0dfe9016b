// SPDX-License-Identifier: MIT OR Apache-2.0
//! The registers of a user thread, and which thread a CPU goes back to.
//!
//! Entries save into the *current* context, the exit path resumes the current context; the kernel
//! switches threads by changing which one is current. The layout is known to the assembly in
//! `trap`.

use crate::msr;
use crate::percpu;
use crate::trap::entry::understudy_exit;
use crate::window::USER_LIMIT;
use core::arch::asm;
use core::cell::Cell;
use core::sync::atomic::Ordering;

/// Registers of a user thread. Only the CPU on which it is current, or on which its thread is
/// owned, touches it.
#[derive(Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "the fields are the registers of the same names")]
pub struct UserContext {
    pub rax: Cell<u64>,
    pub rbx: Cell<u64>,
    pub rcx: Cell<u64>,
    pub rdx: Cell<u64>,
    pub rsi: Cell<u64>,
    pub rdi: Cell<u64>,
    pub rbp: Cell<u64>,
    pub r8: Cell<u64>,
    pub r9: Cell<u64>,
    pub r10: Cell<u64>,
    pub r11: Cell<u64>,
    pub r12: Cell<u64>,
    pub r13: Cell<u64>,
    pub r14: Cell<u64>,
    pub r15: Cell<u64>,
    pub rip: Cell<u64>,
    pub rflags: Cell<u64>,
    pub rsp: Cell<u64>,
    pub fs_base: Cell<u64>,
    /// [`FRAME_SYSCALL`] or [`FRAME_FULL`].
    pub frame_kind: Cell<u64>,
}

/// Entered by SYSCALL: RCX and R11 are not kept; the exit may use SYSRET.
pub const FRAME_SYSCALL: u64 = 0;
/// Every register counts: the exit uses IRET. Whoever sets RIP, RFLAGS, RCX or R11 by hand must set
/// this.
pub const FRAME_FULL: u64 = 1;

impl UserContext {
    /// All registers zero, a full frame.
    #[must_use]
    pub const fn new() -> Self {
        const fn zero() -> Cell<u64> {
            Cell::new(0)
        }
        Self {
            rax: zero(),
            rbx: zero(),
            rcx: zero(),
            rdx: zero(),
            rsi: zero(),
            rdi: zero(),
            rbp: zero(),
            r8: zero(),
            r9: zero(),
            r10: zero(),
            r11: zero(),
            r12: zero(),
            r13: zero(),
            r14: zero(),
            r15: zero(),
            rip: zero(),
            rflags: zero(),
            rsp: zero(),
            fs_base: zero(),
            frame_kind: Cell::new(FRAME_FULL),
        }
    }
}

impl Default for UserContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes `context` the one that this CPU resumes next and saves into at the next entry.
pub fn set_current(context: &'static UserContext) {
    let block = percpu::this();
    block.current.store(core::ptr::from_ref(context) as u64, Ordering::Relaxed);
    let base = context.fs_base.get();
    // A thread can set its base to 0 by loading FS, and to nothing else: 0 after 0 needs no write.
    if base | block.fs_base.load(Ordering::Relaxed) != 0 {
        let base = if base < USER_LIMIT { base } else { 0 };
        // SAFETY: the core itself does not use FS; the address is canonical.
        unsafe { msr::write(msr::FS_BASE, base) };
        block.fs_base.store(base, Ordering::Relaxed);
    }
}

/// The context set last on this CPU.
///
/// Before the first [`set_current`] it is a spare one that belongs to the CPU.
#[must_use]
pub fn current() -> &'static UserContext {
    let context = percpu::this().current.load(Ordering::Relaxed) as *const UserContext;
    // SAFETY: it came from a `&'static` in `set_current` or is the spare one.
    unsafe { &*context }
}

/// Leaves for user mode with the current context, giving up the kernel stack.
pub fn resume() -> ! {
    // SAFETY: no frame on the stack is ever returned to, and this CPU's stack has no other owner.
    unsafe {
        asm!("cli", "mov rsp, gs:[{stack}]", "jmp {exit}",
             stack = const percpu::KERNEL_STACK, exit = sym understudy_exit, options(noreturn));
    }
}
