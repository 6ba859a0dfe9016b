// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single instructions, and what the processor can do.

/// What the processor can do, read once at boot.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields are the features of the same names")]
pub struct Features {
    pub x2apic: bool,
    pub tsc_deadline: bool,
    pub invariant_tsc: bool,
    pub pages_1g: bool,
    pub xsave: bool,
    pub rdrand: bool,
    pub smep: bool,
    pub smap: bool,
    pub umip: bool,
    pub svm: bool,
    pub amd: bool,
    pub physical_bits: u8,
}

/// What this processor can do.
#[must_use]
pub fn features() -> &'static Features {
    todo!()
}

/// Lets interrupts in and waits for one.
pub fn idle_wait() {
    todo!()
}

/// Lets interrupts in for a moment.
pub fn interrupt_window() {
    todo!()
}

/// The time stamp counter.
#[must_use]
pub fn rdtsc() -> u64 {
    todo!()
}

/// To be called in a spin loop.
pub fn pause() {
    core::hint::spin_loop();
}

/// Stops this CPU.
pub fn halt_forever() -> ! {
    todo!()
}

/// A word from the hardware's random number generator, if it has one and it delivers.
#[must_use]
pub fn rdrand() -> Option<u64> {
    todo!()
}
