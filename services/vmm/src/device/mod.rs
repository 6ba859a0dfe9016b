// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of a virtual machine.
//!
//! Each device is a folder: plain logic behind the [`contract`], its saved form beside its
//! registers, its part of the ACPI tables. Each has one line in the [`table`]. Accesses and the
//! time come in as arguments, and what follows comes out as values. No device knows another one,
//! and none makes a system call; the [`board`] wires them together, and the run loop carries its
//! [`contract::Effect`]s out. Whatever a guest writes is legal here: nothing panics, grows without
//! bound or is logged. Time is the guest's own TSC, in ticks; [`time::Rate`] turns it into
//! nanoseconds.

pub mod board;
pub mod contract;
pub mod ioapic;
pub mod lapic;
pub mod message;
pub mod power;
pub mod pvclock;
pub mod rtc;
pub mod table;
pub mod time;
pub mod uart;

#[cfg(test)]
mod hostile;
