// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of a virtual machine.
//!
//! Each is plain logic: what the guest does and what time it is come in as arguments, what follows comes out as values.
//! No device knows another, none makes a system call; [`board`] puts them together, and the run loop carries
//! its [`board::Effect`]s out. Whatever a guest writes is legal here: nothing panics, nothing grows without bound, nothing is
//! logged. Time is the guest's own TSC, in ticks; [`time::Rate`] turns it into nanoseconds.

pub mod board;
pub mod bus;
pub mod ioapic;
pub mod lapic;
pub mod power;
pub mod rtc;
pub mod time;
pub mod uart;
