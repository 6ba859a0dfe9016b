// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: all devices of one virtual machine and the wires between them.
//!
//! Owns the clock and the devices, finds the one that a guest's access is for, and carries what one
//! says to the other: lines to the I/O APIC, its messages and those of local APICs to local APICs,
//! ends of interrupts back. The run loop calls it with what the guest did and what time it is, then
//! carries out [`Board::take_effects`], and asks for the next deadline and each vCPU's pending
//! interrupt. `now` is always the guest's TSC, the same for all vCPUs. What no device answers reads
//! as ones, and writes to it vanish; [`Unclaimed`] counts both.

use super::contract::{Access, Action, Effect, Settings};
use super::message::{Delivery, Message, Pins};
use super::table::Devices;
use super::time::Clock;
use alloc::vec::Vec;

/// Most vCPUs of a machine.
pub const MAX_PROCESSORS: u32 = 16;

const PAGE: u64 = 4096;

/// Accesses that no device answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Bytes read from ports.
    pub port_reads: u64,
    /// Bytes written to ports.
    pub port_writes: u64,
    /// Reads of memory.
    pub memory_reads: u64,
    /// Writes of memory.
    pub memory_writes: u64,
    /// MSRs refused.
    pub msrs: u64,
}

/// All devices of a virtual machine, wired together.
#[derive(Clone, Debug)]
pub struct Board {
    /// The devices. After input for the serial port call [`Board::update_lines`].
    pub devices: Devices,
    /// The clock that all devices share.
    pub clock: Clock,
    /// Accesses that no device answered.
    pub unclaimed: Unclaimed,
    effects: Vec<Effect>,
    /// Whether a vCPU has sent a message to another one since this was last asked for.
    called: bool,
}

impl Board {
    /// Makes a board as after power-on.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { processors: settings.processors.clamp(1, MAX_PROCESSORS), ..settings };
        Self {
            devices: Devices::new(&settings),
            clock: Clock::new(settings.tsc_khz, settings.wall_base),
            unclaimed: Unclaimed::default(),
            effects: Vec::new(),
            called: false,
        }
    }

    /// Puts all devices into a machine's record, as of guest TSC `now`. What was there is gone, but
    /// its room is used again.
    pub fn save(&self, machine: &mut state::Machine, now: u64) {
        self.devices.save(machine, now, &self.clock);
    }

    /// Sets all devices, as after power-on or as loaded before, to what a machine's record says.
    pub fn load(&mut self, machine: &state::Machine) {
        self.clock.load(&machine.clock);
        self.devices.load(machine, &self.clock);
    }

    /// Takes what the monitor has to do, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    /// Returns whether [`Board::take_effects`] has something.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Returns whether a vCPU has sent a message to another one since the last time.
    pub fn take_call(&mut self) -> bool {
        core::mem::take(&mut self.called)
    }

    /// IN: `bytes` is 1, 2 or 4.
    pub fn read_port(&mut self, port: u16, bytes: u8, now: u64) -> u32 {
        let mut value = 0;
        let (devices, mut access) = self.access(0, bytes, now);
        let mut missed = 0;
        for (port, shift) in spread(port, bytes) {
            let byte = devices.read_port(port, &mut access);
            missed += u64::from(byte.is_none());
            value |= u32::from(byte.unwrap_or(0xff)) << shift;
        }
        let (due, action) = (access.due, access.action);
        self.unclaimed.port_reads += missed;
        self.settle(0, due, action);
        value
    }

    /// OUT: `bytes` is 1, 2 or 4.
    pub fn write_port(&mut self, port: u16, bytes: u8, value: u32, now: u64) {
        let (devices, mut access) = self.access(0, bytes, now);
        let mut missed = 0;
        for (port, shift) in spread(port, bytes) {
            missed += u64::from(!devices.write_port(port, (value >> shift) as u8, &mut access));
            // An edge between two bytes must not get lost.
            access.due |= devices.update_lines();
        }
        let (due, action) = (access.due, access.action);
        self.unclaimed.port_writes += missed;
        self.settle(0, due, action);
    }

    /// Answers a vCPU that reads `bytes` bytes (1, 2, 4 or 8) at an address that is not memory.
    pub fn read_memory(&mut self, cpu: usize, address: u64, bytes: u8, now: u64) -> u64 {
        let (page, offset) = split(address & !3);
        let (devices, mut access) = self.access(cpu, bytes, now);
        let value = devices.read(page, offset, &mut access);
        let (due, action) = (access.due, access.action);
        self.settle(cpu, due, action);
        let Some(value) = value else {
            self.unclaimed.memory_reads += 1;
            return ones(bytes);
        };
        (u64::from(value) >> (8 * (address & 3))) & ones(bytes)
    }

    /// Takes what a vCPU writes, `bytes` bytes (1, 2, 4 or 8), at an address that is not memory.
    /// Registers there are 32 bits wide and take nothing narrower.
    pub fn write_memory(&mut self, cpu: usize, address: u64, bytes: u8, value: u64, now: u64) {
        let (page, offset) = split(address);
        let (devices, mut access) = self.access(cpu, bytes, now);
        let taken = bytes >= 4 && devices.write(page, offset, value as u32, &mut access);
        let (due, action) = (access.due, access.action);
        self.unclaimed.memory_writes += u64::from(!taken);
        self.settle(cpu, due, action);
    }

    /// Carries out what a local APIC asks of others.
    pub fn act(&mut self, cpu: usize, action: Option<Action>) {
        match action {
            Some(Action::Send(message)) => self.deliver(&message, Some(cpu)),
            Some(Action::End(vector)) => {
                let due = self.devices.ioapic.end(vector);
                self.send_pins(due);
            }
            None => {}
        }
    }

    /// Writes an MSR of the paravirtual clock; returns false if it is none. The page is filled at
    /// once.
    pub fn write_clock(&mut self, cpu: usize, msr: u32, value: u64, now: u64) -> bool {
        let written = self.devices.pvclock.write_msr((cpu, msr, value), &self.clock, now);
        if let Some(Some(write)) = &written {
            self.ask(Effect::Write(write.clone()));
        }
        written.is_some()
    }

    /// Has the monitor do something.
    fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Hands bytes to the serial port; returns how many it took.
    pub fn send_serial(&mut self, bytes: &[u8]) -> usize {
        let taken = self.devices.uart.send(bytes);
        self.update_lines();
        taken
    }

    /// Lets the I/O APIC see the devices' interrupt lines.
    pub fn update_lines(&mut self) {
        let due = self.devices.update_lines();
        self.send_pins(due);
    }

    /// Lets all timers fire whose time has come.
    pub fn advance(&mut self, now: u64) {
        self.devices.advance(now);
        self.update_lines();
    }

    /// Returns the guest's TSC at which the first timer is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.devices.deadline()
    }

    /// Returns the vector to interrupt a vCPU with, if it takes interrupts.
    #[must_use]
    pub fn pending(&self, cpu: usize) -> Option<u8> {
        self.devices.apics.get(cpu)?.pending()
    }

    /// Returns the same and moves it into service; the caller injects it.
    pub fn accept(&mut self, cpu: usize) -> Option<u8> {
        self.devices.apics.get_mut(cpu)?.accept()
    }

    fn access(&mut self, cpu: usize, width: u8, now: u64) -> (&mut Devices, Access<'_>) {
        let Self { devices, clock, effects, .. } = self;
        (devices, Access { cpu, now, width, clock, effects, due: 0, action: None })
    }

    /// Carries on what an access has brought about.
    fn settle(&mut self, cpu: usize, due: Pins, action: Option<Action>) {
        let due = due | self.devices.update_lines();
        self.send_pins(due);
        self.act(cpu, action);
    }

    fn send_pins(&mut self, mut due: Pins) {
        while due != 0 {
            let pin = due.trailing_zeros() as usize;
            due &= due - 1;
            if let Some(message) = self.devices.ioapic.message(pin) {
                self.deliver(&message, None);
            }
        }
    }

    fn deliver(&mut self, message: &Message, sender: Option<usize>) {
        let matching =
            |index: &usize| self.devices.apics[*index].address().matches(message, sender == Some(*index));
        let mut targets: Vec<usize> = (0..self.devices.apics.len()).filter(matching).collect();
        if message.delivery == Delivery::Lowest {
            let best = targets.iter().copied().filter(|&index| self.devices.apics[index].enabled());
            let best = best.min_by_key(|&index| self.devices.apics[index].processor_priority());
            targets = best.into_iter().collect();
        }
        for index in targets {
            self.called |= sender.is_some_and(|sender| sender != index);
            self.receive(index, message);
        }
    }

    fn receive(&mut self, cpu: usize, message: &Message) {
        match message.delivery {
            Delivery::Fixed | Delivery::Lowest => {
                self.devices.apics[cpu].raise(message.vector, message.level)
            }
            Delivery::Nmi => self.ask(Effect::Nmi(cpu)),
            Delivery::Init => {
                self.devices.apics[cpu].reset();
                self.ask(Effect::Init(cpu));
            }
            Delivery::Startup => self.ask(Effect::Startup(cpu, message.vector)),
            Delivery::Smi | Delivery::External => {}
        }
    }
}

/// Returns all ones in `bytes` bytes.
fn ones(bytes: u8) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// Returns the ports that an access of `bytes` bytes (1, 2 or 4) touches, with the shift of each
/// one's byte.
fn spread(port: u16, bytes: u8) -> impl Iterator<Item = (u16, u32)> {
    (0..u16::from(bytes.min(4))).map(move |index| (port.wrapping_add(index), 8 * u32::from(index)))
}

/// Splits an address into its page and the offset there.
fn split(address: u64) -> (u64, u32) {
    let offset = address % PAGE;
    (address - offset, offset as u32)
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
