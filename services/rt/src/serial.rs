// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial port for output: a 16550 by polling.
//!
//! For the console, and for programs that run before or without it. The core has set speed and
//! format. A port that does not empty its FIFO in time (a terminal that holds the line) loses
//! characters rather than stopping its user.

use crate::cap::{Cap, PortRange};

/// First port of COM1.
pub const COM1: u16 = 0x3f8;
/// Number of ports.
pub const PORTS: u16 = 8;
/// Offset of the line status register.
const STATUS: u16 = 5;
/// Status bit: the FIFO is empty.
const EMPTY: u8 = 0x20;
/// Bytes of the FIFO.
const FIFO: usize = 16;
/// How often the status is read before characters are given up: some ten milliseconds.
const PATIENCE: u32 = 20_000;

/// A serial port.
#[derive(Clone, Copy, Debug)]
pub struct Serial {
    ports: Cap<PortRange>,
    base: u16,
}

impl Serial {
    /// The port at `base`, as it is.
    #[must_use]
    pub const fn new(ports: Cap<PortRange>, base: u16) -> Self {
        Self { ports, base }
    }

    /// Whether it can be reached: the capability may be to come, or gone.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.ports.in8(self.base + STATUS).is_ok()
    }

    /// Switches its interrupts off and its FIFO on.
    pub fn prepare(&self) {
        let _ = self.ports.out8(self.base + 1, 0);
        let _ = self.ports.out8(self.base + 2, 1);
    }

    /// Writes bytes.
    pub fn write(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO) {
            if !self.wait() {
                return;
            }
            let _ = self.ports.out_bytes(self.base, chunk);
        }
    }

    /// Waits until the FIFO is empty; false where it takes too long.
    fn wait(&self) -> bool {
        (0..PATIENCE).any(|_| self.ports.in8(self.base + STATUS).is_ok_and(|status| status & EMPTY != 0))
    }
}
