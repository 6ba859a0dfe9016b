// SPDX-License-Identifier: MIT OR Apache-2.0
//! A local APIC.
//!
//! Owns what one virtual CPU is still to be interrupted by ([`LocalApic::pending`],
//! [`LocalApic::accept`]), its timer, and the registers behind both views, memory-mapped xAPIC and
//! the MSRs of x2APIC (`registers`). Version 0x14: six local vectors, no suppression of EOI
//! broadcasts, no CMCI. Nothing is wired to LINT0, LINT1, thermal and performance entries; they
//! only remember. Messages to other CPUs and to the I/O APIC go out as [`Action`]; [`super::board`]
//! carries them. Follows SDM vol. 3A, 12.

mod contract;
mod registers;
pub mod timer;
mod vectors;

pub use vectors::Vectors;

use super::contract::Action;
use super::message::Address;
use super::time::Rate;
use timer::{Mode as TimerMode, Timer};

/// Physical address of the registers after reset.
pub const DEFAULT_BASE: u64 = 0xfee0_0000;

/// Bits of the base MSR.
mod base {
    pub const BOOTSTRAP: u64 = 1 << 8;
    pub const X2APIC: u64 = 1 << 10;
    pub const ENABLED: u64 = 1 << 11;
    /// Reserved: bits 0-7, 9 and what no processor addresses (52 bits).
    pub const RESERVED: u64 = 0xfff0_0000_0000_02ff;
}

const SPURIOUS_RESET: u32 = 0xff;
const SPURIOUS_ENABLED: u32 = 1 << 8;
const ENTRY_MASKED: u32 = 1 << 16;

const ERROR_SEND_VECTOR: u32 = 1 << 5;
const ERROR_RECEIVE_VECTOR: u32 = 1 << 6;
const ERROR_REGISTER: u32 = 1 << 7;

/// Entries of the local vector table, in the order of their registers.
mod entry {
    pub const TIMER: usize = 0;
    pub const ERROR: usize = 5;
}

/// The access is a general-protection exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// In which way the registers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Disabled,
    /// In memory.
    XApic,
    /// As MSRs.
    X2Apic,
}

/// The registers, but for those of the timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Registers {
    /// APIC id.
    id: u32,
    /// The base MSR.
    base: u64,
    /// Task priority.
    task_priority: u8,
    /// Logical destination (xAPIC).
    logical_destination: u32,
    /// Destination format (xAPIC).
    destination_format: u32,
    /// Spurious vector.
    spurious: u32,
    /// Errors that the guest sees.
    errors: u32,
    /// Errors that it has not yet asked for.
    errors_pending: u32,
    /// Interrupt command.
    command: u64,
    /// Local vector table: timer, thermal, performance, LINT0, LINT1, error.
    entries: [u32; 6],
    /// In service.
    in_service: Vectors,
    /// Level-triggered.
    trigger_mode: Vectors,
    /// Requested.
    requested: Vectors,
}

/// A local APIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalApic {
    registers: Registers,
    timer: Timer,
    rate: Rate,
    seen_cr8: u8,
}

impl LocalApic {
    /// A local APIC as after power-on. `bootstrap` is for the processor that starts first.
    #[must_use]
    pub fn new(id: u32, bootstrap: bool, rate: Rate) -> Self {
        let bootstrap = if bootstrap { base::BOOTSTRAP } else { 0 };
        let base = DEFAULT_BASE | base::ENABLED | bootstrap;
        let registers = Registers { id, base, ..Registers::default() };
        let mut apic = Self { registers, timer: Timer::new(rate), rate, seen_cr8: 0 };
        apic.reset();
        apic
    }

    /// INIT: everything but the id and the base MSR goes to its reset value.
    pub fn reset(&mut self) {
        self.registers = Registers {
            id: self.registers.id,
            base: self.registers.base,
            destination_format: u32::MAX,
            spurious: SPURIOUS_RESET,
            entries: [ENTRY_MASKED; 6],
            ..Registers::default()
        };
        self.timer = Timer::new(self.rate);
        self.seen_cr8 = 0;
    }

    /// In which way the registers are reached.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.registers.base & base::ENABLED, self.registers.base & base::X2APIC) {
            (0, _) => Mode::Disabled,
            (_, 0) => Mode::XApic,
            _ => Mode::X2Apic,
        }
    }

    /// The base MSR.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.registers.base
    }

    /// Physical address of the page of registers.
    #[must_use]
    pub fn page(&self) -> u64 {
        self.registers.base & 0x000f_ffff_ffff_f000
    }

    /// Writes the base MSR.
    ///
    /// # Errors
    /// [`GeneralProtection`] for reserved bits and for the steps that the manual forbids: out of
    /// x2APIC into xAPIC, and from disabled straight into x2APIC.
    pub fn set_base(&mut self, value: u64) -> Result<(), GeneralProtection> {
        let enabled = value & base::ENABLED != 0;
        let x2apic = value & base::X2APIC != 0;
        let allowed = match (self.mode(), enabled, x2apic) {
            (_, false, true) | (Mode::Disabled, true, true) | (Mode::X2Apic, true, false) => false,
            (_, false, false) | (_, true, true) | (_, true, false) => true,
        };
        if !allowed || value & base::RESERVED != 0 {
            return Err(GeneralProtection);
        }
        let bootstrap = self.registers.base & base::BOOTSTRAP;
        self.registers.base = value & !base::BOOTSTRAP | bootstrap;
        if !enabled {
            self.reset();
        }
        Ok(())
    }

    /// What messages for this local APIC are addressed to.
    #[must_use]
    pub fn address(&self) -> Address {
        let x2apic = self.mode() == Mode::X2Apic;
        Address {
            id: self.registers.id,
            logical: if x2apic { self.x2apic_logical() } else { self.registers.logical_destination },
            clusters: self.registers.destination_format >> 28 == 0,
            x2apic,
        }
    }

    /// Requests an interrupt. It is lost where the local APIC is disabled.
    pub fn raise(&mut self, vector: u8, level: bool) {
        if !self.enabled() {
            return;
        }
        if vector < 16 {
            self.error(ERROR_RECEIVE_VECTOR);
            return;
        }
        self.registers.requested.set(vector, true);
        self.registers.trigger_mode.set(vector, level);
    }

    /// The vector that interrupts next, if the processor takes interrupts.
    #[must_use]
    pub fn pending(&self) -> Option<u8> {
        let vector = self.registers.requested.highest().filter(|_| self.enabled())?;
        (vector & 0xf0 > self.processor_priority() & 0xf0).then_some(vector)
    }

    /// Moves the next interrupt into service; the caller injects it.
    pub fn accept(&mut self) -> Option<u8> {
        let vector = self.pending()?;
        self.registers.requested.set(vector, false);
        self.registers.in_service.set(vector, true);
        Some(vector)
    }

    /// Priority below which nothing interrupts.
    #[must_use]
    pub fn processor_priority(&self) -> u8 {
        let task = self.registers.task_priority;
        let service = self.registers.in_service.highest().unwrap_or(0) & 0xf0;
        if task & 0xf0 >= service { task } else { service }
    }

    /// The value that CR8 should have.
    #[must_use]
    pub fn cr8(&self) -> u8 {
        self.registers.task_priority >> 4
    }

    /// The guest's CR8 at an exit: what the guest wrote there becomes the task priority.
    pub fn observe_cr8(&mut self, cr8: u8) {
        let cr8 = cr8 & 0xf;
        if cr8 != self.seen_cr8 {
            self.seen_cr8 = cr8;
            self.registers.task_priority = cr8 << 4;
        }
    }

    /// TSC at which [`LocalApic::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let masked = self.registers.entries[entry::TIMER] & ENTRY_MASKED != 0;
        self.timer.deadline().filter(|_| !masked || self.timer_is_periodic())
    }

    /// Lets the timer fire if it is time.
    pub fn advance(&mut self, now: u64) {
        if self.timer.advance(now) {
            self.raise_entry(entry::TIMER);
        }
    }

    /// Returns whether the software has enabled it, and the base MSR as well.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.registers.spurious & SPURIOUS_ENABLED != 0 && self.mode() != Mode::Disabled
    }

    /// Ends the interrupt in service that has the highest priority.
    fn end(&mut self) -> Option<Action> {
        let vector = self.registers.in_service.highest()?;
        self.registers.in_service.set(vector, false);
        self.registers.trigger_mode.contains(vector).then_some(Action::End(vector))
    }

    fn raise_entry(&mut self, index: usize) {
        let value = self.registers.entries[index];
        if value & ENTRY_MASKED == 0 {
            self.raise(value as u8, false);
        }
    }

    fn error(&mut self, error: u32) {
        let fresh = self.registers.errors_pending & error == 0;
        self.registers.errors_pending |= error;
        let vector = self.registers.entries[entry::ERROR] as u8;
        if fresh && vector >= 16 {
            self.raise_entry(entry::ERROR);
        }
    }

    fn timer_is_periodic(&self) -> bool {
        TimerMode::from_entry(self.registers.entries[entry::TIMER]) == TimerMode::Periodic
    }

    fn x2apic_logical(&self) -> u32 {
        (self.registers.id >> 4) << 16 | 1 << (self.registers.id & 0xf)
    }
}

#[cfg(test)]
mod tests;
