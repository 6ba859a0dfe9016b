// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers of devices in memory, through the window.

use crate::window::to_virt;

/// Reads the register at `physical`.
///
/// # Safety
/// A register of a device that the window maps uncached.
pub(crate) unsafe fn read(physical: u64) -> u32 {
    // SAFETY: by the contract of this function.
    unsafe { (to_virt(physical) as *const u32).read_volatile() }
}

/// Writes the register at `physical`.
///
/// # Safety
/// As for [`read`]; and the write makes the device do nothing to memory that somebody relies on.
pub(crate) unsafe fn write(physical: u64, value: u32) {
    // SAFETY: by the contract of this function.
    unsafe { (to_virt(physical) as *mut u32).write_volatile(value) }
}
