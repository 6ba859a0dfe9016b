// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: all devices of one virtual machine and the wires between them.
//!
//! Owns the devices and routes what one says to the other: UART line to I/O APIC, I/O APIC and commands to local APICs, ends of
//! interrupts back. The run loop calls it with what the guest did and what time it is, then carries out
//! [`Board::take_effects`], and asks each vCPU's next deadline and pending interrupt. `now` is always the guest's TSC, the same
//! for all vCPUs.

use alloc::vec::Vec;

use super::bus::{self, Port, SERIAL_PIN, Unclaimed, Window};
use super::ioapic::{IoApic, Pins};
use super::lapic::message::{Delivery, Message};
use super::lapic::{Action, LocalApic, Mode};
use super::power::{Power, Request};
use super::rtc::Rtc;
use super::time::Rate;
use super::uart::Uart;
use crate::platform::pvclock::{PvClock, Write};

/// What a machine is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of vCPUs, 1 to [`MAX_PROCESSORS`]; the APIC id of each is its index.
    pub processors: u32,
    /// Guest's TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// Nanoseconds since 1970 when the guest's TSC was 0.
    pub wall_base: u64,
    /// Bytes of guest memory, from address 0.
    pub memory: u64,
}

/// Most vCPUs of a machine.
pub const MAX_PROCESSORS: u32 = 16;

/// What the monitor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Stop the machine for good.
    PowerOff,
    /// Start the machine again.
    Reset,
    /// Inject a non-maskable interrupt.
    Nmi(usize),
    /// Put a vCPU into its reset state, waiting for start-up.
    Init(usize),
    /// Let a vCPU that waits for it start in real mode at `page` << 12.
    Startup(usize, u8),
    /// Write guest memory.
    Write(Write),
}

/// All devices of a virtual machine.
#[derive(Clone, Debug)]
pub struct Board {
    /// Serial port. After sending input call [`Board::update_lines`].
    pub uart: Uart,
    /// I/O APIC.
    pub ioapic: IoApic,
    /// Time of day.
    pub rtc: Rtc,
    /// Power control.
    pub power: Power,
    /// Paravirtual clock.
    pub clock: PvClock,
    /// Local APICs, by vCPU.
    pub apics: Vec<LocalApic>,
    /// Accesses that nobody answered.
    pub unclaimed: Unclaimed,
    effects: Vec<Effect>,
    /// Whether a vCPU has sent a message to another one since this was last asked for.
    called: bool,
    rate: Rate,
}

impl Board {
    /// A board as after power-on.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let rate = Rate::from_khz(settings.tsc_khz);
        let processors = settings.processors.clamp(1, MAX_PROCESSORS);
        Self {
            uart: Uart::new(),
            ioapic: IoApic::default(),
            rtc: Rtc::default(),
            power: Power::default(),
            clock: PvClock::new(rate, settings.wall_base, settings.memory, processors as usize),
            apics: (0..processors).map(|id| LocalApic::new(id, id == 0, rate)).collect(),
            unclaimed: Unclaimed::default(),
            effects: Vec::new(),
            called: false,
            rate,
        }
    }

    /// How fast the guest's TSC counts.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes what the monitor has to do, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    /// Whether [`Board::take_effects`] has something.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Whether a vCPU has sent a message to another one since the last time.
    pub fn take_call(&mut self) -> bool {
        core::mem::take(&mut self.called)
    }

    /// IN: `bytes` is 1, 2 or 4.
    pub fn read_port(&mut self, port: u16, bytes: u8, now: u64) -> u32 {
        let mut value = 0;
        for (port, shift) in bus::spread(port, bytes) {
            let byte = match Port::at(port) {
                Some(Port::Uart(offset)) => Some(self.uart.read(offset)),
                Some(Port::RtcData) => Some(self.rtc.read(self.clock.wall(now))),
                Some(Port::Power(port)) => self.power.read(port),
                Some(Port::RtcIndex) | None => None,
            };
            self.unclaimed.port_reads += u64::from(byte.is_none());
            value |= u32::from(byte.unwrap_or(0xff)) << shift;
        }
        self.update_lines();
        value
    }

    /// OUT: `bytes` is 1, 2 or 4.
    pub fn write_port(&mut self, port: u16, bytes: u8, value: u32, now: u64) {
        for (port, shift) in bus::spread(port, bytes) {
            let byte = (value >> shift) as u8;
            match Port::at(port) {
                Some(Port::Uart(offset)) => {
                    self.uart.write(offset, byte);
                    self.update_lines();
                }
                Some(Port::RtcIndex) => self.rtc.select(byte),
                Some(Port::RtcData) => self.rtc.write(byte, self.clock.wall(now)),
                // Power control is byte-wide; a wider access is meant for the PCI ports around 0xcf9.
                Some(Port::Power(port)) if bytes == 1 => self.request_power(port, byte),
                Some(Port::Power(_)) | None => self.unclaimed.port_writes += 1,
            }
        }
    }

    /// A vCPU reads `bytes` bytes (1, 2, 4 or 8) at an address that is not memory.
    pub fn read_memory(&mut self, cpu: usize, address: u64, bytes: u8, now: u64) -> u64 {
        let register = address & !3;
        let value = match self.window(cpu, register) {
            Some(Window::LocalApic(offset)) if offset & 0xc == 0 => self.apics[cpu].read_memory(offset, now),
            Some(Window::LocalApic(_)) => 0,
            Some(Window::IoApic(offset)) => self.ioapic.read(offset),
            None => {
                self.unclaimed.memory_reads += 1;
                return bus::ones(bytes);
            }
        };
        (u64::from(value) >> (8 * (address & 3))) & bus::ones(bytes)
    }

    /// A vCPU writes `bytes` bytes (1, 2, 4 or 8) at an address that is not memory. Registers there are 32 bits wide and take
    /// nothing narrower.
    pub fn write_memory(&mut self, cpu: usize, address: u64, bytes: u8, value: u64, now: u64) {
        let value = value as u32;
        match self.window(cpu, address) {
            Some(Window::LocalApic(offset)) if offset & 0xf == 0 && bytes >= 4 => {
                let action = self.apics[cpu].write_memory(offset, value, now);
                self.act(cpu, action);
            }
            Some(Window::IoApic(offset)) if bytes >= 4 => {
                let due = self.ioapic.write(offset, value);
                self.send_pins(due);
            }
            Some(_) | None => self.unclaimed.memory_writes += 1,
        }
    }

    /// Carries out what a local APIC asks of others.
    pub fn act(&mut self, cpu: usize, action: Option<Action>) {
        match action {
            Some(Action::Send(message)) => self.deliver(&message, Some(cpu)),
            Some(Action::End(vector)) => {
                let due = self.ioapic.end(vector);
                self.send_pins(due);
            }
            None => {}
        }
    }

    /// Has the monitor do something.
    pub fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Bytes arrive at the serial port; returns how many it took.
    pub fn send_serial(&mut self, bytes: &[u8]) -> usize {
        let taken = self.uart.send(bytes);
        self.update_lines();
        taken
    }

    /// Lets the I/O APIC see the devices' interrupt lines.
    pub fn update_lines(&mut self) {
        let due = self.ioapic.set_line(SERIAL_PIN, self.uart.interrupt());
        self.send_pins(due);
    }

    /// Lets all timers fire whose time has come.
    pub fn advance(&mut self, now: u64) {
        for apic in &mut self.apics {
            apic.advance(now);
        }
    }

    /// TSC at which a vCPU's timer is due.
    #[must_use]
    pub fn next_deadline(&self, cpu: usize) -> Option<u64> {
        self.apics.get(cpu)?.next_deadline()
    }

    /// The vector to interrupt a vCPU with, if it takes interrupts.
    #[must_use]
    pub fn pending(&self, cpu: usize) -> Option<u8> {
        self.apics.get(cpu)?.pending()
    }

    /// As [`Board::pending`]; the caller injects it.
    pub fn accept(&mut self, cpu: usize) -> Option<u8> {
        self.apics.get_mut(cpu)?.accept()
    }

    fn window(&self, cpu: usize, address: u64) -> Option<Window> {
        let apic = self.apics.get(cpu)?;
        let local = (apic.mode() == Mode::XApic).then(|| apic.page());
        Window::at(address, local)
    }

    fn request_power(&mut self, port: u16, value: u8) {
        match self.power.write(port, value) {
            Some(Request::PowerOff) => self.ask(Effect::PowerOff),
            Some(Request::Reset) => self.ask(Effect::Reset),
            None => {}
        }
    }

    fn send_pins(&mut self, mut due: Pins) {
        while due != 0 {
            let pin = due.trailing_zeros() as usize;
            due &= due - 1;
            if let Some(message) = self.ioapic.message(pin) {
                self.deliver(&message, None);
            }
        }
    }

    fn deliver(&mut self, message: &Message, sender: Option<usize>) {
        let matching = |index: &usize| self.apics[*index].address().matches(message, sender == Some(*index));
        let mut targets: Vec<usize> = (0..self.apics.len()).filter(matching).collect();
        if message.delivery == Delivery::Lowest {
            let best = targets.iter().copied().filter(|&index| self.apics[index].enabled());
            let best = best.min_by_key(|&index| self.apics[index].processor_priority());
            targets = best.into_iter().collect();
        }
        for index in targets {
            self.called |= sender.is_some_and(|sender| sender != index);
            self.receive(index, message);
        }
    }

    fn receive(&mut self, cpu: usize, message: &Message) {
        match message.delivery {
            Delivery::Fixed | Delivery::Lowest => self.apics[cpu].raise(message.vector, message.level),
            Delivery::Nmi => self.ask(Effect::Nmi(cpu)),
            Delivery::Init => {
                self.apics[cpu].reset();
                self.ask(Effect::Init(cpu));
            }
            Delivery::Startup => self.ask(Effect::Startup(cpu, message.vector)),
            Delivery::Smi | Delivery::External => {}
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
