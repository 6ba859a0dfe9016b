// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single instructions, and what the processor can do.

use crate::msr;
use crate::once::Once;
use abi::boot::Virtualization;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};
pub use processor::Features;

static FEATURES: Once<Features> = Once::new();

/// What this processor can do.
#[must_use]
pub fn features() -> &'static Features {
    match FEATURES.get() {
        Some(features) => features,
        None => FEATURES.set(Features::read(&cpuid)),
    }
}

/// CPUID; zeros for a leaf beyond the highest.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    // Basic, hypervisor (0x4000_0000) and extended leaves each say how far they go.
    if __cpuid(leaf & 0xc000_0000).eax < leaf {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(leaf, subleaf)
}

/// Whether VMs can run here, and if not, why.
#[must_use]
pub fn virtualization() -> Virtualization {
    const SVM_DISABLED: u64 = 1 << 4;
    const NESTED_PAGING: u32 = 1;
    if !features().svm {
        Virtualization::NoSvm
    } else if msr::read(msr::VM_CR) & SVM_DISABLED != 0 {
        Virtualization::DisabledByFirmware
    } else if cpuid(0x8000_000a, 0).edx & NESTED_PAGING == 0 {
        Virtualization::NoNestedPaging
    } else {
        Virtualization::Svm
    }
}

/// Lets interrupts in and waits for one. (One that came before is not slept over: STI lets the HLT
/// pass first.)
pub fn idle_wait() {
    // SAFETY: the entries save and restore everything that this code uses.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Lets interrupts in for a moment.
pub fn interrupt_window() {
    // SAFETY: the entries save and restore everything that this code uses.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// The time stamp counter.
#[must_use]
pub fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// To be called in a spin loop.
pub fn pause() {
    core::hint::spin_loop();
}

/// Stops this CPU.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: with interrupts off nothing runs on this CPU any more, but for an NMI.
        unsafe { asm!("cli", "hlt", options(nostack)) };
    }
}

/// A word from the hardware's random number generator, if it has one and it delivers.
#[must_use]
pub fn rdrand() -> Option<u64> {
    const TRIES: usize = 10;
    if !features().rdrand {
        return None;
    }
    (0..TRIES).find_map(|_| {
        let (word, good): (u64, u8);
        // SAFETY: the instruction exists, by CPUID.
        unsafe { asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) good, options(nomem, nostack)) };
        (good != 0).then_some(word)
    })
}
