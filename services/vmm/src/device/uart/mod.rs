// SPDX-License-Identifier: MIT OR Apache-2.0
//! A 16550A serial port.
//!
//! Owns the eight registers, both FIFOs and the interrupt line. The transmitter is infinitely fast:
//! a byte written is in the output at once and the holding register is always empty. The receiver
//! takes from a bounded queue of what the other side sent, sixteen bytes at a time, so that a guest
//! sees an ordinary FIFO and nobody can make the monitor grow. Output is a ring: what nobody
//! fetched is overwritten, oldest first. Follows the PC16550D data sheet.

mod contract;

use alloc::collections::VecDeque;

/// Bytes of the receiver's FIFO.
const FIFO_BYTES: usize = 16;
/// Bytes that wait for the FIFO at most.
pub const INPUT_BYTES: usize = 4096;
/// Bytes of output kept until they are fetched.
pub const OUTPUT_BYTES: usize = 64 * 1024;

/// Offsets of the registers from the first port.
mod register {
    pub const DATA: u16 = 0;
    pub const INTERRUPT_ENABLE: u16 = 1;
    pub const IDENTIFICATION: u16 = 2;
    pub const LINE_CONTROL: u16 = 3;
    pub const MODEM_CONTROL: u16 = 4;
    pub const LINE_STATUS: u16 = 5;
    pub const MODEM_STATUS: u16 = 6;
    pub const SCRATCH: u16 = 7;
}

const IER_RECEIVED: u8 = 1;
const IER_TRANSMIT: u8 = 2;
const IER_LINE: u8 = 4;
const IER_MODEM: u8 = 8;

const IIR_NONE: u8 = 1;
const IIR_MODEM: u8 = 0;
const IIR_TRANSMIT: u8 = 2;
const IIR_RECEIVED: u8 = 4;
const IIR_LINE: u8 = 6;
const IIR_TIMEOUT: u8 = 0xc;
const IIR_FIFO: u8 = 0xc0;

const FCR_ENABLE: u8 = 1;
const FCR_CLEAR_RECEIVER: u8 = 2;

const LCR_DIVISOR: u8 = 0x80;

const MCR_LOOP: u8 = 0x10;
const MCR_BITS: u8 = 0x1f;

const LSR_DATA: u8 = 1;
const LSR_OVERRUN: u8 = 2;
const LSR_EMPTY: u8 = 0x60;

/// CTS, DSR and DCD: there is always somebody at the other end.
const MSR_CONNECTED: u8 = 0xb0;

/// A serial port.
#[derive(Clone, Debug, Default)]
pub struct Uart {
    interrupt_enable: u8,
    /// FIFO control, without the bits that act once.
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    /// The error bits of line status.
    line_errors: u8,
    /// The changes that modem status reports.
    modem_changes: u8,
    scratch: u8,
    divisor: u16,
    /// Whether the interrupt "transmitter empty" waits to be seen.
    transmit_pending: bool,
    fifo: VecDeque<u8>,
    input: VecDeque<u8>,
    output: VecDeque<u8>,
}

impl Uart {
    /// Makes a port as after reset.
    #[must_use]
    pub fn reset() -> Self {
        Self { divisor: 12, ..Self::default() }
    }

    fn read_register(&mut self, offset: u16) -> u8 {
        let divisor = self.line_control & LCR_DIVISOR != 0;
        match offset {
            register::DATA if divisor => self.divisor as u8,
            register::DATA => self.receive(),
            register::INTERRUPT_ENABLE if divisor => (self.divisor >> 8) as u8,
            register::INTERRUPT_ENABLE => self.interrupt_enable,
            register::IDENTIFICATION => self.identify(),
            register::LINE_CONTROL => self.line_control,
            register::MODEM_CONTROL => self.modem_control,
            register::LINE_STATUS => self.line_status(),
            register::MODEM_STATUS => {
                let status = self.modem_lines() | self.modem_changes;
                self.modem_changes = 0;
                status
            }
            register::SCRATCH => self.scratch,
            _ => 0xff,
        }
    }

    fn write_register(&mut self, offset: u16, value: u8) {
        let divisor = self.line_control & LCR_DIVISOR != 0;
        match offset {
            register::DATA if divisor => self.divisor = self.divisor & 0xff00 | u16::from(value),
            register::DATA => self.transmit(value),
            register::INTERRUPT_ENABLE if divisor => {
                self.divisor = self.divisor & 0xff | u16::from(value) << 8;
            }
            register::INTERRUPT_ENABLE => self.enable(value & 0xf),
            register::IDENTIFICATION => self.control_fifo(value),
            register::LINE_CONTROL => self.line_control = value,
            register::MODEM_CONTROL => self.control_modem(value & MCR_BITS),
            register::SCRATCH => self.scratch = value,
            _ => {}
        }
    }

    /// The other side sends `bytes`; returns how many were taken.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(INPUT_BYTES.saturating_sub(self.input.len()));
        self.input.extend(bytes.iter().take(taken));
        self.refill();
        taken
    }

    /// Takes what the guest wrote since the last time.
    pub fn take_output(&mut self) -> impl Iterator<Item = u8> + '_ {
        self.output.drain(..)
    }

    /// Returns whether the guest wrote something that nobody has taken.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn fifos_enabled(&self) -> bool {
        self.fifo_control & FCR_ENABLE != 0
    }

    fn depth(&self) -> usize {
        if self.fifos_enabled() { FIFO_BYTES } else { 1 }
    }

    fn trigger(&self) -> usize {
        if !self.fifos_enabled() {
            return 1;
        }
        [1, 4, 8, 14][usize::from(self.fifo_control >> 6)]
    }

    fn loopback(&self) -> bool {
        self.modem_control & MCR_LOOP != 0
    }

    fn refill(&mut self) {
        while self.fifo.len() < self.depth() && !self.loopback() {
            let Some(byte) = self.input.pop_front() else { return };
            self.fifo.push_back(byte);
        }
    }

    fn receive(&mut self) -> u8 {
        let byte = self.fifo.pop_front().unwrap_or(0);
        self.refill();
        byte
    }

    fn transmit(&mut self, byte: u8) {
        self.transmit_pending = true;
        if !self.loopback() {
            if self.output.len() >= OUTPUT_BYTES {
                self.output.pop_front();
            }
            self.output.push_back(byte);
        } else if self.fifo.len() < self.depth() {
            self.fifo.push_back(byte);
        } else {
            self.line_errors |= LSR_OVERRUN;
        }
    }

    /// Setting "transmitter empty" reports the empty transmitter at once: drivers test for it.
    fn enable(&mut self, value: u8) {
        if value & IER_TRANSMIT != 0 && self.interrupt_enable & IER_TRANSMIT == 0 {
            self.transmit_pending = true;
        }
        self.interrupt_enable = value;
    }

    fn control_fifo(&mut self, value: u8) {
        let toggled = (value ^ self.fifo_control) & FCR_ENABLE != 0;
        if toggled || value & FCR_ENABLE != 0 && value & FCR_CLEAR_RECEIVER != 0 {
            self.fifo.clear();
        }
        self.fifo_control = if value & FCR_ENABLE != 0 { value & 0xc9 } else { 0 };
        self.refill();
    }

    fn control_modem(&mut self, value: u8) {
        let before = self.modem_lines();
        self.modem_control = value;
        let after = self.modem_lines();
        let changed = (before ^ after) >> 4;
        let ring_ended = before & !after & 0x40 != 0;
        self.modem_changes |= changed & 0b1011 | if ring_ended { 0b100 } else { 0 };
        self.refill();
    }

    /// The four lines, in bits 4 to 7: in loopback those that the guest drives itself.
    fn modem_lines(&self) -> u8 {
        if !self.loopback() {
            return MSR_CONNECTED;
        }
        let control = self.modem_control;
        (control & 0b10) << 3 | (control & 0b1) << 5 | (control & 0b1100) << 4
    }

    fn line_status(&mut self) -> u8 {
        let data = if self.fifo.is_empty() { 0 } else { LSR_DATA };
        let errors = core::mem::take(&mut self.line_errors);
        LSR_EMPTY | errors | data
    }

    /// What the interrupt is for, in the order of priority.
    fn cause(&self) -> u8 {
        let enabled = self.interrupt_enable;
        if enabled & IER_LINE != 0 && self.line_errors != 0 {
            IIR_LINE
        } else if enabled & IER_RECEIVED != 0 && self.fifo.len() >= self.trigger() {
            IIR_RECEIVED
        } else if enabled & IER_RECEIVED != 0 && !self.fifo.is_empty() {
            IIR_TIMEOUT
        } else if enabled & IER_TRANSMIT != 0 && self.transmit_pending {
            IIR_TRANSMIT
        } else if enabled & IER_MODEM != 0 && self.modem_changes != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    fn identify(&mut self) -> u8 {
        let cause = self.cause();
        if cause == IIR_TRANSMIT {
            self.transmit_pending = false;
        }
        cause | if self.fifos_enabled() { IIR_FIFO } else { 0 }
    }
}

#[cfg(test)]
mod tests;
