// SPDX-License-Identifier: MIT OR Apache-2.0
//! Model-specific registers.

use core::arch::asm;

pub(crate) const APIC_BASE: u32 = 0x1b;
pub(crate) const SYSENTER_CS: u32 = 0x174;
pub(crate) const PAT: u32 = 0x277;
pub(crate) const TSC_DEADLINE: u32 = 0x6e0;
pub(crate) const X2APIC: u32 = 0x800;
pub(crate) const EFER: u32 = 0xc000_0080;
pub(crate) const STAR: u32 = 0xc000_0081;
pub(crate) const LSTAR: u32 = 0xc000_0082;
pub(crate) const CSTAR: u32 = 0xc000_0083;
pub(crate) const SFMASK: u32 = 0xc000_0084;
pub(crate) const FS_BASE: u32 = 0xc000_0100;
pub(crate) const GS_BASE: u32 = 0xc000_0101;
pub(crate) const KERNEL_GS_BASE: u32 = 0xc000_0102;
pub(crate) const VM_CR: u32 = 0xc001_0114;

/// Reads a register. One that does not exist ends the core: ask CPUID first.
pub(crate) fn read(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading a model-specific register changes nothing that we rely on.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a register.
///
/// # Safety
/// The value must keep what Rust and this crate rely on: mappings, entries, the block behind GS.
pub(crate) unsafe fn write(register: u32, value: u64) {
    // SAFETY: by the contract of this function.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}
