// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who uses which interrupt vector.

/// The local APIC's timer.
pub const TIMER: u8 = 0x20;
/// Stop for a rendezvous. Of a higher priority class than any device.
pub const IPI_RENDEZVOUS: u8 = 0xf0;
/// Look at the run queue again.
pub const IPI_WAKE: u8 = 0xf1;
/// First vector for devices.
pub const DEVICE_FIRST: u8 = 0x40;
/// Last vector for devices.
pub const DEVICE_LAST: u8 = 0xdf;
/// Error interrupt of the local APIC.
pub const APIC_ERROR: u8 = 0xfe;
/// Spurious interrupts of the local APIC; never seen by the kernel.
pub const SPURIOUS: u8 = 0xff;
