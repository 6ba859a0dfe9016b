// SPDX-License-Identifier: MIT OR Apache-2.0
//! An I/O APIC.
//!
//! Owns 24 pins and their redirection entries. A line goes up or down, a register is written, an
//! interrupt ends: each answers with the set of pins whose message is now due ([`Pins`]);
//! [`IoApic::message`] says what it is. Version 0x20, so it has an EOI register besides the
//! broadcast. Polarity is remembered only: lines here are up or down. Follows the 82093AA data
//! sheet.

use crate::device::contract::{Access, Device, Settings};
use crate::device::message::{Delivery, Destination, Message, Pins};
use crate::device::time::Clock;
use state::Unknown;

/// Physical address of the registers.
pub const BASE: u64 = 0xfec0_0000;
/// Number of pins.
pub const PINS: usize = 24;

const VERSION: u32 = 0x20 | (PINS as u32 - 1) << 16;

/// Offsets of the registers that are mapped.
mod window {
    pub const SELECT: u32 = 0x00;
    pub const DATA: u32 = 0x10;
    pub const END: u32 = 0x40;
}

/// Registers behind the window.
mod register {
    pub const ID: u8 = 0;
    pub const VERSION: u8 = 1;
    pub const ARBITRATION: u8 = 2;
    pub const ENTRIES: u8 = 0x10;
}

const LOGICAL: u64 = 1 << 11;
const REMOTE_REQUEST: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
/// Bits of an entry that the guest can write: not delivery status and remote IRR.
const WRITABLE: u64 = 0xff00_0000_0001_afff;

/// An I/O APIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// APIC id, in its register's position.
    id: u32,
    /// The register that the window shows.
    select: u8,
    /// Redirection entries.
    entries: [u64; PINS],
    /// Lines that are up.
    lines: Pins,
}

impl Default for IoApic {
    fn default() -> Self {
        Self { id: 0, select: 0, entries: [MASKED; PINS], lines: 0 }
    }
}

impl Device for IoApic {
    fn new(_: &Settings) -> Self {
        Self::default()
    }

    fn window(&self, _: usize) -> Option<u64> {
        Some(BASE)
    }

    fn read(&mut self, offset: u32, _: &mut Access) -> Option<u32> {
        Some(self.read_window(offset))
    }

    fn write(&mut self, offset: u32, value: u32, access: &mut Access) -> bool {
        access.due |= self.write_window(offset, value);
        true
    }

    fn save(&self, machine: &mut state::Machine, _: u64, _: &Clock) {
        let Self { id, select, entries, lines } = *self;
        machine.ioapics.clear();
        machine.ioapics.push(state::IoApic {
            id: (id >> 24) as u8 & 0xf,
            select,
            entries,
            levels: lines,
            unknown: Unknown::default(),
        });
    }

    fn load(&mut self, machine: &state::Machine, _: &Clock) {
        let Some(saved) = machine.ioapics.first() else { return };
        let state::IoApic { id, select, entries, levels, unknown: _ } = saved;
        let entries = entries.map(|entry| {
            let kept = WRITABLE | if entry & LEVEL != 0 { REMOTE_REQUEST } else { 0 };
            entry & kept
        });
        let id = u32::from(id & 0xf) << 24;
        *self = Self { id, select: *select, entries, lines: levels & ((1 << PINS) - 1) };
    }
}

impl IoApic {
    /// Reads 32 bits at `offset` of the page.
    #[must_use]
    pub fn read_window(&self, offset: u32) -> u32 {
        match offset {
            window::SELECT => self.select.into(),
            window::DATA => self.read_register(),
            _ => u32::MAX,
        }
    }

    /// Writes 32 bits at `offset` of the page.
    pub fn write_window(&mut self, offset: u32, value: u32) -> Pins {
        match offset {
            window::SELECT => self.select = value as u8,
            window::DATA => return self.write_register(value),
            window::END => return self.end(value as u8),
            _ => {}
        }
        0
    }

    /// A line goes up or down.
    pub fn set_line(&mut self, pin: usize, up: bool) -> Pins {
        if pin >= PINS {
            return 0;
        }
        let bit = 1 << pin;
        let rises = up && self.lines & bit == 0;
        self.lines = if up { self.lines | bit } else { self.lines & !bit };
        let entry = self.entries[pin];
        if entry & LEVEL != 0 {
            return self.serve_level(pin);
        }
        // An edge at a masked pin is lost (82093AA, 3.4.2).
        if rises && entry & MASKED == 0 { bit } else { 0 }
    }

    /// A level-triggered interrupt with this vector has ended at a local APIC.
    pub fn end(&mut self, vector: u8) -> Pins {
        let mut due = 0;
        for pin in 0..PINS {
            let entry = self.entries[pin];
            if entry as u8 == vector && entry & LEVEL != 0 && entry & REMOTE_REQUEST != 0 {
                self.entries[pin] &= !REMOTE_REQUEST;
                due |= self.serve_level(pin);
            }
        }
        due
    }

    /// The message of a pin.
    #[must_use]
    pub fn message(&self, pin: usize) -> Option<Message> {
        let entry = *self.entries.get(pin)?;
        let destination = (entry >> 56) as u32;
        Some(Message {
            destination: if entry & LOGICAL != 0 {
                Destination::Logical(destination)
            } else {
                Destination::Physical(destination)
            },
            narrow: true,
            delivery: Delivery::from_bits(entry as u32),
            vector: entry as u8,
            level: entry & LEVEL != 0,
        })
    }

    fn serve_level(&mut self, pin: usize) -> Pins {
        let entry = &mut self.entries[pin];
        let up = self.lines & 1 << pin != 0;
        if !up || *entry & (MASKED | REMOTE_REQUEST) != 0 {
            return 0;
        }
        *entry |= REMOTE_REQUEST;
        1 << pin
    }

    /// Pin and half (0 low, 1 high) of the entry that is selected.
    fn selected(&self) -> Option<(usize, u32)> {
        let index = usize::from(self.select.checked_sub(register::ENTRIES)?);
        (index < 2 * PINS).then_some((index / 2, index as u32 & 1))
    }

    fn read_register(&self) -> u32 {
        match self.select {
            register::ID | register::ARBITRATION => self.id,
            register::VERSION => VERSION,
            _ => self.selected().map_or(u32::MAX, |(pin, half)| (self.entries[pin] >> (32 * half)) as u32),
        }
    }

    fn write_register(&mut self, value: u32) -> Pins {
        if self.select == register::ID {
            self.id = value & 0x0f00_0000;
        }
        let Some((pin, half)) = self.selected() else { return 0 };
        let written = 0xffff_ffff << (32 * half) & WRITABLE;
        let entry = &mut self.entries[pin];
        *entry = *entry & !written | u64::from(value) << (32 * half) & written;
        if *entry & LEVEL == 0 {
            *entry &= !REMOTE_REQUEST;
            return 0;
        }
        self.serve_level(pin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_entry(ioapic: &mut IoApic, pin: u32, entry: u64) -> Pins {
        let mut due = 0;
        for (half, value) in [(1, entry >> 32), (0, entry & 0xffff_ffff)] {
            ioapic.write_window(0, 0x10 + 2 * pin + half);
            due |= ioapic.write_window(0x10, value as u32);
        }
        due
    }

    #[test]
    fn it_has_24_pins_all_masked() {
        let mut ioapic = IoApic::default();
        ioapic.write_window(0, 1);
        assert_eq!(ioapic.read_window(0x10), 0x0017_0020);
        for pin in 0..24 {
            ioapic.write_window(0, 0x10 + 2 * pin);
            assert_eq!(ioapic.read_window(0x10), 0x10000);
        }
        ioapic.write_window(0, 0x40);
        assert_eq!((ioapic.read_window(0x10), ioapic.write_window(0x10, 0)), (u32::MAX, 0));
    }

    #[test]
    fn an_edge_is_sent_once_per_rise_and_lost_while_masked() {
        let mut ioapic = IoApic::default();
        assert_eq!(ioapic.set_line(4, true), 0);
        assert_eq!(set_entry(&mut ioapic, 4, 0x24), 0, "unmasking is no edge");
        assert_eq!(ioapic.set_line(4, true), 0);
        assert_eq!(ioapic.set_line(4, false), 0);
        assert_eq!(ioapic.set_line(4, true), 1 << 4);
        let message = ioapic.message(4).unwrap();
        assert_eq!((message.vector, message.level), (0x24, false));
        assert_eq!(message.destination, Destination::Physical(0));
    }

    #[test]
    fn a_level_is_sent_again_after_its_end_while_the_line_is_up() {
        let mut ioapic = IoApic::default();
        set_entry(&mut ioapic, 9, 0x0200_0000_0000_8839);
        assert_eq!(ioapic.set_line(9, true), 1 << 9);
        assert_eq!(ioapic.message(9).unwrap().destination, Destination::Logical(2));
        assert_eq!(ioapic.set_line(9, true), 0, "remote IRR");
        assert_eq!(ioapic.end(0x38), 0);
        assert_eq!(ioapic.end(0x39), 1 << 9);
        ioapic.set_line(9, false);
        assert_eq!(ioapic.write_window(0x40, 0x39), 0);
        assert_eq!(ioapic.set_line(9, true), 1 << 9);
    }

    #[test]
    fn unmasking_a_level_that_is_up_sends_it() {
        let mut ioapic = IoApic::default();
        ioapic.set_line(5, true);
        set_entry(&mut ioapic, 5, 0x18035);
        assert_eq!(set_entry(&mut ioapic, 5, 0x8035), 1 << 5);
    }

    #[test]
    fn status_bits_are_not_the_guests_to_write() {
        let mut ioapic = IoApic::default();
        set_entry(&mut ioapic, 5, 0x1d035);
        ioapic.write_window(0, 0x1a);
        assert_eq!(ioapic.read_window(0x10), 0x18035);
    }
}
