// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways into the kernel and back.

/// What the kernel does at each kind of entry. Each runs with interrupts off, on the kernel stack of the CPU; when it
/// returns, the current context resumes (or, for an entry from the idle wait, the wait ends).
pub struct Handlers {
    /// A SYSCALL; the registers are in the current context.
    pub syscall: fn(),
    /// An exception of the current context: vector, error code (0 where there is none), CR2.
    pub exception: fn(vector: u8, error: u64, cr2: u64),
    /// An interrupt, in user mode or in the idle wait; the handler calls [`crate::lapic::eoi`]. Not called for spurious ones.
    pub interrupt: fn(vector: u8),
    /// A non-maskable interrupt, at any time at all: on its own stack, may only touch atomics.
    pub nmi: fn(),
}

/// Sets what the kernel does at entries, for all CPUs. To be called before any user thread runs or any interrupt is let in.
pub fn install(handlers: &'static Handlers) {
    let _ = handlers;
    todo!()
}

/// Stops this CPU for ever (ends the emulation instead where the command line has `debug-exit`).
pub fn stop() -> ! {
    todo!()
}
