// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state of a virtual machine, typed and independent of the hypervisor that saved it.
//!
//! Owns the records, their one encoding ([`record`]), access to single fields by path, and what is
//! true of every valid state ([`Check`]). It serves checkpoints, handover and the host tool; there
//! is no second format. Guest memory is apart. What it leaves to others: the devices' run-time
//! types, and the limits of the processor at hand, which the core checks when the state is
//! imported.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod apic;
mod check;
mod clock;
mod ioapic;
mod machine;
mod power;
pub mod record;
mod serial;
mod vcpu;
mod vcpu_check;
mod vcpu_page;

#[cfg(test)]
mod tests;

pub use apic::LocalApic;
pub use check::{Check, Violation};
pub use clock::{ClockPage, PvClock, Rtc};
pub use ioapic::{IOAPIC_LINES, IoApic};
pub use machine::{Ended, FORMAT, LoadError, MAGIC, Machine, Token};
pub use power::PowerControl;
pub use record::{Bytes, DecodeError, Field, PathError, Record, Unknown, Value};
pub use serial::Uart16550;
pub use vcpu::{Activity, Segment, Vcpu};
