// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single instructions.

use core::arch::asm;

/// The time stamp counter.
#[must_use]
pub fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// CPUID: EAX, EBX, ECX, EDX.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// Reads a model-specific register that is known to exist.
#[must_use]
pub fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading a register of this kind changes no memory; if it does not exist, the guest
    // stops with a report.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register that is known to exist.
///
/// # Safety
/// The value must not change how the guest's memory is seen.
pub unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: by the caller.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

/// Reads a byte from a port.
#[must_use]
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: no device that this guest sees writes its memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nostack)) };
    value
}

/// Writes a byte to a port.
pub fn out8(port: u16, value: u8) {
    // SAFETY: as for `in8`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack)) };
}

/// Lets interrupts in and waits for one; they are off again afterwards.
pub fn wait_for_interrupt() {
    // SAFETY: the interrupt entries keep every register; STI takes effect after HLT has begun, so
    // none is missed.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Stops for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: waits.
        unsafe { asm!("cli", "hlt", options(nostack)) };
    }
}
