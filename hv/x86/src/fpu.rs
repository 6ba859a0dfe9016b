// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guarding the floating-point registers, which belong to guests only.
//!
//! CR0.TS is set but where the core swaps the registers of guests; what a guest left in them is out
//! of reach of user threads.

use crate::control::CR0_TS;
use crate::cpu;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

const X87_SSE: u64 = 0b11;
const AVX: u64 = 1 << 2;
const AVX512: u64 = 0b111 << 5;
const PKRU: u64 = 1 << 9;

static XCR0: AtomicU64 = AtomicU64::new(0);

/// Lets the core use FPU instructions (CR0.TS = 0): for XSAVE and XRSTOR of guests.
pub fn enable() {
    // SAFETY: the core has no floating-point code that this could reach.
    unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
}

/// Takes the FPU away again (CR0.TS = 1).
pub fn disable() {
    // SAFETY: sets CR0.TS and nothing else; the core has no floating-point code that would fault by
    // it.
    unsafe {
        asm!("mov {0}, cr0", "or {0}, {1}", "mov cr0, {0}", out(reg) _, const CR0_TS, options(nomem, nostack));
    }
}

/// XCR0 as set on every CPU; 0 where there is no XSAVE.
#[must_use]
pub fn xcr0_mask() -> u64 {
    XCR0.load(Ordering::Relaxed)
}

/// Enables every component that a guest may use.
pub(crate) fn init_this_cpu() {
    if !cpu::features().xsave {
        return;
    }
    let leaf = cpu::cpuid(0xd, 0);
    let supported = u64::from(leaf.edx) << 32 | u64::from(leaf.eax);
    let mut mask = X87_SSE | supported & (AVX | PKRU);
    if mask & AVX != 0 && supported & AVX512 == AVX512 {
        mask |= AVX512;
    }
    // SAFETY: CR4.OSXSAVE is set, and the components are supported.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") mask as u32, in("edx") (mask >> 32) as u32,
             options(nomem, nostack, preserves_flags));
    }
    XCR0.store(mask, Ordering::Relaxed);
}
