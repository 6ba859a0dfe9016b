// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways into the kernel and back.
//!
//! Every entry from user mode saves into the current context and starts on an empty kernel stack;
//! there is no way to be in the kernel twice, but for interrupts in the idle wait and for NMIs,
//! which have a stack of their own.

pub(crate) mod entry;
pub(crate) mod tables;

use crate::{boot, cpu, percpu, port, println, vectors};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use entry::Frame;

/// What the kernel does at each kind of entry. Each runs with interrupts off, on the kernel stack
/// of the CPU; when it returns, the current context resumes (or, for an entry from the idle wait,
/// the wait ends).
pub struct Handlers {
    /// A SYSCALL; the registers are in the current context.
    pub syscall: fn(),
    /// An exception of the current context: vector, error code (0 where there is none), CR2.
    pub exception: fn(vector: u8, error: u64, cr2: u64),
    /// An interrupt, in user mode or in the idle wait; the handler calls [`crate::lapic::eoi`]. Not
    /// called for spurious ones.
    pub interrupt: fn(vector: u8),
    /// A non-maskable interrupt, at any time at all: on its own stack, may only touch atomics.
    pub nmi: fn(),
}

static NONE: Handlers = Handlers {
    syscall: || panic!("a system call before there is a kernel"),
    exception: |vector, _, _| panic!("exception {vector} in user mode before there is a kernel"),
    interrupt: |vector| panic!("interrupt {vector} before there is a kernel"),
    nmi: || {},
};

static HANDLERS: AtomicPtr<Handlers> = AtomicPtr::new((&raw const NONE).cast_mut());

/// Sets what the kernel does at entries, for all CPUs. To be called before any user thread runs or
/// any interrupt is let in.
pub fn install(handlers: &'static Handlers) {
    HANDLERS.store(core::ptr::from_ref(handlers).cast_mut(), Ordering::Release);
}

fn handlers() -> &'static Handlers {
    // SAFETY: it always holds the address of a static.
    unsafe { &*HANDLERS.load(Ordering::Relaxed) }
}

extern "C" fn on_syscall() {
    (handlers().syscall)();
}

extern "C" fn on_exception(vector: u64, error: u64, cr2: u64) {
    (handlers().exception)(vector as u8, error, cr2);
}

extern "C" fn on_interrupt(vector: u64) {
    if vector as u8 != vectors::SPURIOUS {
        (handlers().interrupt)(vector as u8);
    }
}

extern "C" fn on_nmi() {
    (handlers().nmi)();
}

/// An entry while in the kernel: an interrupt that the idle wait let in, or a bug of ours.
extern "C" fn on_kernel_trap(frame: &Frame) {
    const EXCEPTIONS: u64 = 32;
    if frame.vector >= EXCEPTIONS {
        on_interrupt(frame.vector);
    } else {
        on_fatal(frame);
    }
}

/// What the core does not survive: an exception of its own, a double fault, a machine check.
extern "C" fn on_fatal(frame: &Frame) -> ! {
    println!(
        "core: exception {} on CPU {}: error {:#x}, rip {:#x}, rsp {:#x}, cs {:#x}, flags {:#x}, cr2 {:#x}",
        frame.vector,
        percpu::cpu_index(),
        frame.error,
        frame.rip,
        frame.rsp,
        frame.cs,
        frame.rflags,
        entry::read_cr2(),
    );
    stop()
}

/// Set from the command line.
pub(crate) static DEBUG_EXIT: AtomicBool = AtomicBool::new(false);

/// Stops this CPU for ever (ends the emulation instead where the command line has `debug-exit`).
pub fn stop() -> ! {
    if DEBUG_EXIT.load(Ordering::Relaxed) {
        port::out32(boot::DEBUG_EXIT_PORT, boot::DEBUG_EXIT_FAILED);
    }
    cpu::halt_forever()
}
