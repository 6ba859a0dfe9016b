// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial port as a device: its ports, its line, its saved form and its part of the ACPI
//! tables.

use super::{INPUT_BYTES, LSR_OVERRUN, MCR_BITS, Uart};
use crate::aml;
use crate::device::contract::{Access, Device, Ports, Settings};
use crate::device::time::Clock;
use abi::guest::SERIAL_PORT;
use alloc::vec::Vec;
use state::{Bytes, Uart16550, Unknown};

/// Number of ports.
const COUNT: u16 = 8;
/// Pin of the I/O APIC.
const PIN: usize = 4;

impl Device for Uart {
    const PORTS: &'static [Ports] = &[Ports { first: SERIAL_PORT, count: COUNT }];
    const PIN: Option<usize> = Some(PIN);

    fn new(_: &Settings) -> Self {
        Self::reset()
    }

    fn read_port(&mut self, port: u16, _: &mut Access) -> Option<u8> {
        Some(self.read_register(port.wrapping_sub(SERIAL_PORT)))
    }

    fn write_port(&mut self, port: u16, value: u8, _: &mut Access) -> bool {
        self.write_register(port.wrapping_sub(SERIAL_PORT), value);
        true
    }

    fn interrupt(&self) -> bool {
        self.cause() != super::IIR_NONE
    }

    fn save(&self, machine: &mut state::Machine, _: u64, _: &Clock) {
        // What the guest has written is drained before anything is saved: the record's `output` is
        // another version's.
        let Self { fifo, input, output: _, .. } = self;
        machine.uarts.resize_with(1, Uart16550::default);
        for saved in &mut machine.uarts {
            let mut unread = core::mem::take(&mut saved.unread);
            unread.0.clear();
            unread.0.extend(fifo.iter().chain(input));
            *saved = self.saved(unread);
        }
    }

    fn load(&mut self, machine: &state::Machine, _: &Clock) {
        if let Some(saved) = machine.uarts.first() {
            *self = Self::loaded(saved);
        }
    }

    fn describe() -> Vec<Vec<u8>> {
        let resources = aml::resources(&[
            aml::interrupt(PIN as u32, aml::Trigger::Edge),
            aml::io(SERIAL_PORT, COUNT as u8),
        ]);
        Vec::from([aml::device(
            *b"COM1",
            &[
                aml::name(*b"_HID", &aml::eisa_id(*b"PNP", 0x0501)),
                aml::name(*b"_UID", &aml::integer(1)),
                aml::name(*b"_STA", &aml::integer(0xf)),
                aml::name(*b"_CRS", &resources),
            ],
        )])
    }
}

impl Uart {
    fn saved(&self, unread: Bytes) -> Uart16550 {
        let Self {
            interrupt_enable,
            fifo_control,
            line_control,
            modem_control,
            line_errors,
            modem_changes,
            scratch,
            divisor,
            transmit_pending,
            fifo: _,
            input: _,
            output: _,
        } = *self;
        Uart16550 {
            port: SERIAL_PORT,
            line: PIN as u8,
            interrupt_enable,
            fifo_control,
            line_control,
            modem_control,
            line_errors,
            modem_changes,
            scratch,
            divisor,
            transmit_pending,
            unread,
            output: Bytes::default(),
            unknown: Unknown::default(),
        }
    }

    fn loaded(saved: &Uart16550) -> Self {
        let Uart16550 {
            port: _,
            line: _,
            interrupt_enable,
            fifo_control,
            line_control,
            modem_control,
            line_errors,
            modem_changes,
            scratch,
            divisor,
            transmit_pending,
            unread: Bytes(unread),
            output: _,
            unknown: _,
        } = saved;
        let mut uart = Self {
            interrupt_enable: interrupt_enable & 0xf,
            fifo_control: fifo_control & 0xc9,
            line_control: *line_control,
            modem_control: modem_control & MCR_BITS,
            line_errors: line_errors & LSR_OVERRUN,
            modem_changes: modem_changes & 0xf,
            scratch: *scratch,
            divisor: *divisor,
            transmit_pending: *transmit_pending,
            ..Self::default()
        };
        uart.fifo.extend(unread.iter().take(uart.depth()));
        uart.input.extend(unread.iter().skip(uart.fifo.len()).take(INPUT_BYTES));
        uart
    }
}
