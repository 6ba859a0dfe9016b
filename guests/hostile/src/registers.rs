// SPDX-License-Identifier: MIT OR Apache-2.0
//! States that no processor takes: each write has to fault and leave the guest as it was.

use core::arch::asm;
use guest_rt::attempt;
use guest_rt::boot::Boot;

const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;

/// Tries each; counts those that did not fault.
pub fn all(_: &Boot, _: u32) -> (u64, &'static str) {
    let (cr0, cr4): (u64, u64);
    // SAFETY: reads registers.
    unsafe { asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4, options(nomem, nostack)) };
    let bad_cr0 = cr0 & !CR0_CD | CR0_NW;
    let no_paging_extension = cr4 & !(1 << 5);
    // SAFETY: a value that faults changes nothing.
    let faults = unsafe {
        [
            attempt!("mov cr0, {value}", value = in(reg) bad_cr0),
            attempt!("mov cr0, {value}", value = in(reg) cr0 | 1 << 40),
            attempt!("mov cr0, {value}", value = in(reg) cr0 & !1),
            attempt!("mov cr4, {value}", value = in(reg) no_paging_extension),
            attempt!("mov cr4, {value}", value = in(reg) cr4 | 1 << 40),
            attempt!("mov cr4, {value}", value = in(reg) cr4 | 1 << 13),
            attempt!("mov cr8, {value}", value = in(reg) 1u64 << 20),
            attempt!("mov dr7, {value}", value = in(reg) 1u64 << 40),
        ]
    };
    (faults.iter().filter(|fault| fault.is_none()).count() as u64, "bad values were taken")
}
