// SPDX-License-Identifier: MIT OR Apache-2.0
//! States that no processor takes.
//!
//! A processor answers such a write with #GP and the guest goes on. The emulator takes the value
//! and refuses the next entry into the guest instead, so this is a way to end, not one of the
//! tries.

use core::arch::asm;
use guest_rt::attempt;

const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;

/// Gives CR0 (NW without CD) and CR4 (a bit that does not exist) bad values; the faults, where
/// there were any.
pub fn bad_state() -> [Option<u64>; 2] {
    let (cr0, cr4): (u64, u64);
    // SAFETY: reads registers.
    unsafe { asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4, options(nomem, nostack)) };
    // SAFETY: a value that faults changes nothing, and one that does not ends the guest at its next
    // exit.
    unsafe {
        [
            attempt!("mov cr4, {value}", value = in(reg) cr4 | 1 << 40),
            attempt!("mov cr0, {value}", value = in(reg) cr0 & !CR0_CD | CR0_NW),
        ]
    }
}
