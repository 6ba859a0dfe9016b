// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second serial port: a 16550 with its interrupt.

use rt::cap::{Cap, Interrupt, PortRange};
use rt::{Environment, time};

/// First port.
const BASE: u16 = 0x2f8;
const DATA: u16 = BASE;
const INTERRUPT_ENABLE: u16 = BASE + 1;
const FIFO_CONTROL: u16 = BASE + 2;
/// When read: what the interrupt is for.
const INTERRUPT_IDENT: u16 = BASE + 2;
const LINE_CONTROL: u16 = BASE + 3;
const MODEM_CONTROL: u16 = BASE + 4;
const LINE_STATUS: u16 = BASE + 5;
const SCRATCH: u16 = BASE + 7;

/// Status: a byte is there.
const READY: u8 = 0x01;
/// Status: bytes were lost, or came damaged (overrun, parity, framing, break).
const DAMAGE: u8 = 0x1e;
/// Status: the sending FIFO is empty.
const EMPTY: u8 = 0x20;
/// Interrupt identification: as many bytes are there as the FIFO was told to interrupt at.
const LEVEL_REACHED: u8 = 0x04;
/// That number.
const LEVEL: u8 = 14;
/// Bytes of the FIFO.
const FIFO: usize = 16;
/// How long a peer may leave a full FIFO standing.
const PATIENCE_MS: u64 = 2000;

/// What has come.
pub enum Received {
    /// Nothing.
    Nothing,
    /// A byte.
    Byte(u8),
    /// Bytes that cannot be trusted.
    Lost,
}

/// The port.
pub struct Uart {
    ports: Cap<PortRange>,
    interrupt: Option<Cap<Interrupt>>,
    /// Bytes that are there for certain. An image of some megabytes comes this way, and every look
    /// at the port takes its time.
    certain: u8,
}

impl Uart {
    /// The port at 115200 8N1; `None` where the manifest gives none or the machine has none.
    pub fn new(environment: &Environment) -> Option<Self> {
        let ports = Cap::<PortRange>::named(environment, "ports.2f8")?;
        ports.out8(SCRATCH, 0x5a).ok()?;
        if ports.in8(SCRATCH) != Ok(0x5a) {
            return None;
        }
        // Divisor 1 while bit 7 of the line control is set; FIFO on, emptied, interrupt at 14
        // bytes; DTR, RTS, OUT2.
        for (port, value) in [
            (INTERRUPT_ENABLE, 0),
            (LINE_CONTROL, 0x80),
            (DATA, 1),
            (INTERRUPT_ENABLE, 0),
            (LINE_CONTROL, 0x03),
            (FIFO_CONTROL, 0xc7),
            (MODEM_CONTROL, 0x0b),
            (INTERRUPT_ENABLE, 0x01),
        ] {
            ports.out8(port, value).ok()?;
        }
        Some(Self { ports, interrupt: Cap::named(environment, "irq.3"), certain: 0 })
    }

    /// The next byte. What was lost in the middle of some that were certain is noticed after them;
    /// nothing that is built of them will pass its checks.
    pub fn receive(&mut self) -> Received {
        if self.certain == 0 {
            match self.ports.in8(LINE_STATUS) {
                Ok(status) if status & READY == 0 => return Received::Nothing,
                Ok(status) if status & DAMAGE == 0 => {}
                Err(_) => return Received::Nothing,
                Ok(_) => {
                    let _ = self.ports.in8(DATA);
                    return Received::Lost;
                }
            }
            let reached = |ident: u8| ident & 0x0f == LEVEL_REACHED;
            self.certain = if self.ports.in8(INTERRUPT_IDENT).is_ok_and(reached) { LEVEL } else { 1 };
        }
        self.certain -= 1;
        self.ports.in8(DATA).map_or(Received::Lost, Received::Byte)
    }

    /// Let the interrupt come again.
    pub fn ack(&self) {
        if let Some(interrupt) = self.interrupt {
            let _ = interrupt.ack();
        }
    }

    /// Sends bytes; false where nobody takes them.
    pub fn send(&self, bytes: &[u8]) -> bool {
        bytes
            .chunks(FIFO)
            .all(|chunk| self.wait() && chunk.iter().all(|&byte| self.ports.out8(DATA, byte).is_ok()))
    }

    /// Waits until the FIFO is empty; false where it takes too long.
    fn wait(&self) -> bool {
        let end = time::after_ms(PATIENCE_MS);
        loop {
            match self.ports.in8(LINE_STATUS) {
                Ok(status) if status & EMPTY != 0 => return true,
                Ok(_) if time::now() < end => rt::syscall::yield_now(),
                _ => return false,
            }
        }
    }
}
