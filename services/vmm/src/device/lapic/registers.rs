// SPDX-License-Identifier: MIT OR Apache-2.0
//! The registers of a local APIC, as the guest reads and writes them.
//!
//! One table for both views: register *n* is at offset 16 *n* of the page, and at MSR 0x800 + *n*
//! in x2APIC mode. The views differ in strictness: a wrong access in memory is an error in the ESR,
//! a wrong MSR is a general-protection exception. Follows SDM vol. 3A, tables 12-1 and 12-6.

use super::timer::Mode as TimerMode;
use super::{
    ENTRY_MASKED, ERROR_REGISTER, ERROR_SEND_VECTOR, GeneralProtection, LocalApic, Mode, SPURIOUS_ENABLED,
    entry,
};
use crate::device::contract::Action;
use crate::device::message::{Delivery, Message};

/// First MSR of x2APIC.
const FIRST_MSR: u32 = 0x800;
/// Version 0x14 with six local vectors.
const VERSION: u32 = 0x0005_0014;

/// Register numbers.
mod number {
    pub const ID: u32 = 0x02;
    pub const VERSION: u32 = 0x03;
    pub const TASK_PRIORITY: u32 = 0x08;
    pub const ARBITRATION_PRIORITY: u32 = 0x09;
    pub const PROCESSOR_PRIORITY: u32 = 0x0a;
    pub const END: u32 = 0x0b;
    pub const REMOTE_READ: u32 = 0x0c;
    pub const LOGICAL_DESTINATION: u32 = 0x0d;
    pub const DESTINATION_FORMAT: u32 = 0x0e;
    pub const SPURIOUS: u32 = 0x0f;
    pub const IN_SERVICE: u32 = 0x10;
    pub const IN_SERVICE_LAST: u32 = 0x17;
    pub const TRIGGER_MODE: u32 = 0x18;
    pub const TRIGGER_MODE_LAST: u32 = 0x1f;
    pub const REQUESTED: u32 = 0x20;
    pub const REQUESTED_LAST: u32 = 0x27;
    pub const ERRORS: u32 = 0x28;
    pub const COMMAND: u32 = 0x30;
    pub const COMMAND_HIGH: u32 = 0x31;
    pub const ENTRIES: u32 = 0x32;
    pub const ENTRIES_LAST: u32 = 0x37;
    pub const INITIAL_COUNT: u32 = 0x38;
    pub const CURRENT_COUNT: u32 = 0x39;
    pub const DIVIDE: u32 = 0x3e;
    pub const SELF_COMMAND: u32 = 0x3f;
}

/// Bits of each entry of the local vector table that can be written.
const ENTRY_BITS: [u32; 6] = [0x0007_00ff, 0x0001_07ff, 0x0001_07ff, 0x0001_a7ff, 0x0001_a7ff, 0x0001_00ff];
/// Bits of the low half of the command that can be written.
const COMMAND_BITS: u32 = 0x000c_cfff;

impl LocalApic {
    /// Reads 32 bits at `offset` of the page.
    pub fn read_memory(&mut self, offset: u32, now: u64) -> u32 {
        match (offset >> 4, self.mode()) {
            (_, Mode::Disabled | Mode::X2Apic) => u32::MAX,
            (number::ID, Mode::XApic) => self.registers.id << 24,
            (number::LOGICAL_DESTINATION, Mode::XApic) => self.registers.logical_destination,
            (number::DESTINATION_FORMAT, Mode::XApic) => self.registers.destination_format,
            (number::COMMAND_HIGH, Mode::XApic) => (self.registers.command >> 32) as u32,
            (number::ARBITRATION_PRIORITY | number::REMOTE_READ | number::END, Mode::XApic) => 0,
            (register, Mode::XApic) => self.read(register, now).unwrap_or_else(|| {
                self.error(ERROR_REGISTER);
                0
            }),
        }
    }

    /// Writes 32 bits at `offset` of the page.
    pub fn write_memory(&mut self, offset: u32, value: u32, now: u64) -> Option<Action> {
        if self.mode() != Mode::XApic {
            return None;
        }
        match offset >> 4 {
            number::ID | number::VERSION | number::ARBITRATION_PRIORITY | number::REMOTE_READ => {}
            number::END => return self.end(),
            number::LOGICAL_DESTINATION => self.registers.logical_destination = value & 0xff00_0000,
            number::DESTINATION_FORMAT => self.registers.destination_format = value | 0x0fff_ffff,
            number::COMMAND_HIGH => {
                let high = u64::from(value & 0xff00_0000) << 32;
                self.registers.command = self.registers.command & 0xffff_ffff | high;
            }
            number::COMMAND => {
                let high = self.registers.command & 0xffff_ffff_0000_0000;
                return self.command(high | u64::from(value & COMMAND_BITS));
            }
            register => {
                if !self.write(register, value & writable(register), now) {
                    self.error(ERROR_REGISTER);
                }
            }
        }
        None
    }

    /// Reads an MSR of x2APIC.
    ///
    /// # Errors
    /// [`GeneralProtection`] outside x2APIC mode and for a register that cannot be read.
    pub fn read_msr(&self, msr: u32, now: u64) -> Result<u64, GeneralProtection> {
        if self.mode() != Mode::X2Apic {
            return Err(GeneralProtection);
        }
        match msr.wrapping_sub(FIRST_MSR) {
            number::ID => Ok(self.registers.id.into()),
            number::LOGICAL_DESTINATION => Ok(self.x2apic_logical().into()),
            number::COMMAND => Ok(self.registers.command),
            register => self.read(register, now).map(u64::from).ok_or(GeneralProtection),
        }
    }

    /// Writes an MSR of x2APIC.
    ///
    /// # Errors
    /// [`GeneralProtection`] outside x2APIC mode, for a register that cannot be written, and for
    /// reserved bits.
    pub fn write_msr(&mut self, msr: u32, value: u64, now: u64) -> Result<Option<Action>, GeneralProtection> {
        if self.mode() != Mode::X2Apic {
            return Err(GeneralProtection);
        }
        let register = msr.wrapping_sub(FIRST_MSR);
        let low = value as u32;
        match register {
            number::COMMAND if low & !COMMAND_BITS == 0 => return Ok(self.command(value)),
            number::SELF_COMMAND if value <= 0xff => return Ok(self.command(1 << 18 | value)),
            number::END if value == 0 => return Ok(self.end()),
            number::ERRORS if value != 0 => return Err(GeneralProtection),
            _ => {}
        }
        let reserved = value & !u64::from(writable(register)) != 0;
        if reserved || !self.write(register, low, now) { Err(GeneralProtection) } else { Ok(None) }
    }

    /// The deadline MSR.
    #[must_use]
    pub fn deadline_msr(&self) -> u64 {
        self.timer.deadline_register()
    }

    /// Writes the deadline MSR: fires at that TSC, at once if it is past.
    pub fn set_deadline_msr(&mut self, value: u64, now: u64) {
        self.timer.set_deadline(value);
        self.advance(now);
    }

    /// Registers that both views read alike.
    fn read(&self, register: u32, now: u64) -> Option<u32> {
        let registers = &self.registers;
        let word = (register & 7) as usize;
        Some(match register {
            number::VERSION => VERSION,
            number::TASK_PRIORITY => registers.task_priority.into(),
            number::PROCESSOR_PRIORITY => self.processor_priority().into(),
            number::SPURIOUS => registers.spurious,
            number::IN_SERVICE..=number::IN_SERVICE_LAST => registers.in_service.0[word],
            number::TRIGGER_MODE..=number::TRIGGER_MODE_LAST => registers.trigger_mode.0[word],
            number::REQUESTED..=number::REQUESTED_LAST => registers.requested.0[word],
            number::ERRORS => registers.errors,
            number::COMMAND => registers.command as u32,
            number::ENTRIES..=number::ENTRIES_LAST => {
                registers.entries[(register - number::ENTRIES) as usize]
            }
            number::INITIAL_COUNT => self.timer.initial(),
            number::CURRENT_COUNT => self.timer.current(now),
            number::DIVIDE => self.timer.divide(),
            _ => return None,
        })
    }

    /// Registers that both views write alike; false if there is no such one.
    fn write(&mut self, register: u32, value: u32, now: u64) -> bool {
        match register {
            number::TASK_PRIORITY => self.registers.task_priority = value as u8,
            number::SPURIOUS => self.write_spurious(value),
            number::ERRORS => self.registers.errors = core::mem::take(&mut self.registers.errors_pending),
            number::ENTRIES..=number::ENTRIES_LAST => {
                self.write_entry((register - number::ENTRIES) as usize, value);
                self.advance(now);
            }
            number::INITIAL_COUNT => self.timer.set_initial(value, now),
            number::CURRENT_COUNT => return self.mode() == Mode::XApic,
            number::DIVIDE => self.timer.set_divide(value, now),
            _ => return false,
        }
        true
    }

    fn write_spurious(&mut self, value: u32) {
        self.registers.spurious = value;
        if value & SPURIOUS_ENABLED == 0 {
            for entry in &mut self.registers.entries {
                *entry |= ENTRY_MASKED;
            }
        }
    }

    fn write_entry(&mut self, index: usize, value: u32) {
        let value = if index == entry::TIMER { TimerMode::known(value) } else { value };
        let disabled = self.registers.spurious & SPURIOUS_ENABLED == 0;
        self.registers.entries[index] = value | if disabled { ENTRY_MASKED } else { 0 };
        if index == entry::TIMER {
            self.timer.set_mode(TimerMode::from_entry(value));
        }
    }

    fn command(&mut self, value: u64) -> Option<Action> {
        self.registers.command = value;
        let narrow = self.mode() == Mode::XApic;
        let high = (value >> 32) as u32;
        let destination = if narrow { high >> 24 } else { high };
        let message = Message::from_command(value as u32, destination, narrow)?;
        let vectored = matches!(message.delivery, Delivery::Fixed | Delivery::Lowest);
        if vectored && message.vector < 16 {
            self.error(ERROR_SEND_VECTOR);
            return None;
        }
        Some(Action::Send(message))
    }
}

/// Bits of a register that can be written.
fn writable(register: u32) -> u32 {
    match register {
        number::TASK_PRIORITY => 0xff,
        number::SPURIOUS => 0x3ff,
        number::DIVIDE => 0xb,
        number::ENTRIES..=number::ENTRIES_LAST => ENTRY_BITS[(register - number::ENTRIES) as usize],
        _ => u32::MAX,
    }
}
