// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control registers and model-specific registers that each CPU is set up with.

use crate::trap::entry::understudy_syscall;
use crate::trap::tables::{KERNEL_CODE, USER_BASE};
use crate::{cpu, fpu, msr};
use core::arch::asm;

const CR0_PE: u64 = 1;
const CR0_MP: u64 = 1 << 1;
pub(crate) const CR0_TS: u64 = 1 << 3;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR0: u64 = CR0_PE | CR0_MP | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_PG;

const EFER_SCE: u64 = 1;
const EFER_LME: u64 = 1 << 8;
const EFER_NXE: u64 = 1 << 11;

/// No breakpoint of the firmware's.
const DR7: u64 = 0x400;

/// The memory types that the processor starts with: entry 3 (PCD and PWT set) is uncacheable.
const PAT: u64 = 0x0007_0406_0007_0406;

/// Flags that SYSCALL clears: all but the one that is always set.
const SYSCALL_MASK: u64 = 0x25_7fd5;

/// Sets this CPU up. GS is not needed yet; other tables than those of the entry come after this.
pub(crate) fn init_this_cpu() {
    let cr4 = cpu::features().cr4();
    let star = u64::from(USER_BASE) << 48 | u64::from(KERNEL_CODE) << 32;
    let entry = understudy_syscall as *const () as u64;
    // SAFETY: 64-bit mode and the mappings in use stay as they are; the entry is made for these
    // values.
    unsafe {
        msr::write(msr::EFER, EFER_SCE | EFER_LME | EFER_NXE);
        msr::write(msr::PAT, PAT);
        asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags));
        asm!("mov cr0, {}", in(reg) CR0, options(nostack, preserves_flags));
        asm!("mov dr7, {}", in(reg) DR7, options(nostack, preserves_flags));
        msr::write(msr::STAR, star);
        msr::write(msr::LSTAR, entry);
        msr::write(msr::CSTAR, entry);
        msr::write(msr::SFMASK, SYSCALL_MASK);
        // A null selector makes SYSENTER fault, whatever the firmware left there.
        msr::write(msr::SYSENTER_CS, 0);
    }
    fpu::init_this_cpu();
}
