// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial port.

use crate::check::{Check, Violation, ensure};
use crate::record::{Bytes, record};

record! {
    /// A 16550A serial port. Registers as in the PC16550D data sheet.
    pub struct Uart16550 {
        /// First port.
        1 port: u16,
        /// Interrupt line.
        2 line: u8,
        /// Interrupt enable.
        3 interrupt_enable: u8,
        /// FIFO control, without the bits that act once.
        4 fifo_control: u8,
        /// Line control.
        5 line_control: u8,
        /// Modem control.
        6 modem_control: u8,
        /// Error bits of the line status.
        7 line_errors: u8,
        /// Changes that the modem status reports.
        8 modem_changes: u8,
        /// Scratch.
        9 scratch: u8,
        /// Divisor latch.
        10 divisor: u16,
        /// Whether the interrupt "transmitter empty" waits to be seen.
        11 transmit_pending: bool,
        /// Received and not yet read by the guest, oldest first.
        12 unread: Bytes,
        /// Written by the guest and not yet fetched, oldest first.
        13 output: Bytes,
    }
}

/// Most bytes in either queue.
const MAX_QUEUE: usize = 64 * 1024;

impl Check for Uart16550 {
    fn check(&self) -> Result<(), Violation> {
        ensure("port", self.port <= 0xfff8, "leaves no room for eight registers")?;
        ensure("interrupt_enable", self.interrupt_enable & !0xf == 0, "has bits that do not exist")?;
        ensure("fifo_control", self.fifo_control & !0xc9 == 0, "has bits that are not kept")?;
        ensure("modem_control", self.modem_control & !0x1f == 0, "has bits that do not exist")?;
        ensure("line_errors", self.line_errors & !0x1e == 0, "has bits that are no errors")?;
        ensure("modem_changes", self.modem_changes & !0xf == 0, "has bits that are no changes")?;
        ensure("unread", self.unread.0.len() <= MAX_QUEUE, "is too long")?;
        ensure("output", self.output.0.len() <= MAX_QUEUE, "is too long")
    }
}
