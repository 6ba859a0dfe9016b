// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first serial port, for output: a 16550 by polling.
//!
//! The core has set speed and format. A port that does not empty its FIFO in time (a terminal that holds the line)
//! loses characters rather than stopping the log.

use rt::Environment;
use rt::cap::{Cap, PortRange};

/// First port.
const BASE: u16 = 0x3f8;
/// Line status register.
const STATUS: u16 = BASE + 5;
/// Status bit: the FIFO is empty.
const EMPTY: u8 = 0x20;
/// Bytes of the FIFO.
const FIFO: usize = 16;
/// How often the status is read before characters are given up: some ten milliseconds.
const PATIENCE: u32 = 20_000;

/// The port; nothing where the manifest gives none.
pub struct Uart(Option<Cap<PortRange>>);

impl Uart {
    /// The port, its interrupts off and its FIFO on.
    pub fn new(environment: &Environment) -> Self {
        let ports = Cap::<PortRange>::named(environment, "ports.3f8");
        if let Some(ports) = ports {
            let _ = ports.out8(BASE + 1, 0);
            let _ = ports.out8(BASE + 2, 1);
        }
        Self(ports)
    }

    /// Writes bytes.
    pub fn write(&self, bytes: &[u8]) {
        let Some(ports) = self.0 else { return };
        for chunk in bytes.chunks(FIFO) {
            if !self.wait(ports) {
                return;
            }
            for &byte in chunk {
                let _ = ports.out8(BASE, byte);
            }
        }
    }

    /// Waits until the FIFO is empty; false where it takes too long.
    fn wait(&self, ports: Cap<PortRange>) -> bool {
        (0..PATIENCE).any(|_| ports.in8(STATUS).is_ok_and(|status| status & EMPTY != 0))
    }
}
