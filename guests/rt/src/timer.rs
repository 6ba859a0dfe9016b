// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a moment: x2APIC timer in TSC-deadline mode, and HLT.

use super::cpu::{cpuid, rdmsr, rdtsc, wait_for_interrupt, wrmsr};

const APIC_BASE: u32 = 0x1b;
const APIC_ENABLE_X2: u64 = 0xc00;
const X2APIC_SPURIOUS: u32 = 0x80f;
const X2APIC_EOI: u32 = 0x80b;
const X2APIC_LVT_TIMER: u32 = 0x832;
const TSC_DEADLINE: u32 = 0x6e0;
const DEADLINE_MODE: u64 = 2 << 17;
const TIMER_VECTOR: u64 = 0x40;
const SPURIOUS_VECTOR: u64 = 0xff;
const APIC_SOFTWARE_ENABLE: u64 = 1 << 8;

/// The timer, set up.
pub struct Timer(());

impl Timer {
    /// Sets the local APIC up.
    ///
    /// # Panics
    /// If the processor lacks x2APIC or the TSC-deadline mode.
    #[must_use]
    pub fn new() -> Self {
        let features = cpuid(1, 0)[2];
        assert!(features >> 21 & 1 == 1 && features >> 24 & 1 == 1, "no x2APIC or no TSC deadline");
        // SAFETY: these registers concern interrupts only, and every vector has an entry.
        unsafe {
            wrmsr(APIC_BASE, rdmsr(APIC_BASE) | APIC_ENABLE_X2);
            wrmsr(X2APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | SPURIOUS_VECTOR);
            wrmsr(X2APIC_LVT_TIMER, DEADLINE_MODE | TIMER_VECTOR);
        }
        Self(())
    }

    /// Halts until the TSC has reached `deadline`; returns its value then.
    pub fn wait_until(&self, deadline: u64) -> u64 {
        loop {
            let now = rdtsc();
            if now >= deadline {
                return now;
            }
            // SAFETY: arms an interrupt whose entry only acknowledges it.
            unsafe { wrmsr(TSC_DEADLINE, deadline) };
            wait_for_interrupt();
        }
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

/// Acknowledges an interrupt of the local APIC.
pub(crate) fn acknowledge(vector: u64) {
    if vector != SPURIOUS_VECTOR && rdmsr(APIC_BASE) & APIC_ENABLE_X2 == APIC_ENABLE_X2 {
        // SAFETY: ends the interrupt in service.
        unsafe { wrmsr(X2APIC_EOI, 0) };
    }
}
