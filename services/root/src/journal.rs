// SPDX-License-Identifier: MIT OR Apache-2.0
//! Root's own log.
//!
//! Until the console runs, lines go to the serial port; from then on they wait for the console to
//! fetch them.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Arguments;
use core::sync::atomic::{AtomicU16, Ordering};

use abi::boot::slot;
use api::root::{LogLine, MAX_LINE, MAX_LIST};
use rt::Cap;
use rt::cap::{Notification, PortRange};
use rt::serial::{COM1, Serial};

/// Lines that are kept.
const KEPT: usize = 256;

/// The log.
pub struct Journal {
    lines: VecDeque<LogLine>,
    /// Number of the first line that is kept.
    first: u64,
    /// The serial port, until the console has it.
    serial: Option<(Cap<PortRange>, Serial)>,
    /// Rung after each line once the console has the port.
    console: Option<Cap<Notification>>,
    /// First of its ports.
    base: u16,
}

/// First port of the serial port for a panic.
static LAST_WORDS: AtomicU16 = AtomicU16::new(COM1);

impl Journal {
    /// A log that goes to the serial port.
    pub fn new(ports: Cap<PortRange>, base: u16) -> Self {
        rt::log::set_sink(last_words);
        LAST_WORDS.store(base, Ordering::Relaxed);
        let serial = Serial::new(ports, base);
        Self { lines: VecDeque::new(), first: 0, serial: Some((ports, serial)), console: None, base }
    }

    /// Adds a line.
    pub fn say(&mut self, text: Arguments<'_>) {
        let mut text = text.to_string();
        let end = (0..=MAX_LINE.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        if let Some((_, serial)) = &self.serial {
            serial.write(text.as_bytes());
            serial.write(b"\r\n");
        }
        self.lines.push_back(LogLine { printed: self.serial.is_some(), at: rt::time::now(), text });
        if self.lines.len() > KEPT {
            self.lines.pop_front();
            self.first += 1;
        }
        if let Some(console) = self.console {
            let _ = console.signal();
        }
    }

    /// Leaves the serial port to the console, whose doorbell this is; returns root's capability to
    /// the port, which is to be deleted.
    pub fn hand_over(&mut self, console: Cap<Notification>) -> Option<Cap<PortRange>> {
        let (ports, _) = self.serial.take()?;
        self.console = Some(console);
        let _ = console.signal();
        Some(ports)
    }

    /// Whether this is the doorbell of the console that has the serial port.
    pub fn is_console(&self, doorbell: Cap<Notification>) -> bool {
        self.console == Some(doorbell)
    }

    /// Takes the serial port back, by this capability.
    pub fn take_back(&mut self, ports: Cap<PortRange>) {
        self.console = None;
        self.serial = Some((ports, Serial::new(ports, self.base)));
    }

    /// Lines from number `from` on.
    pub fn read(&mut self, from: u64) -> (u64, Vec<LogLine>) {
        let start = from.clamp(self.first, self.first + self.lines.len() as u64);
        let skip = (start - self.first) as usize;
        let part = self.lines.iter_mut().skip(skip).take(MAX_LIST);
        let lines = part.map(|line| {
            let copy = line.clone();
            // A console that starts anew does not print it again.
            line.printed = true;
            copy
        });
        (start, lines.collect())
    }
}

/// Root's own panic: nobody is left to serve, so the port is taken back.
fn last_words(text: &str) {
    let serial = Serial::new(Cap::new(slot::PORTS), LAST_WORDS.load(Ordering::Relaxed));
    let text: String = text.replace('\n', " ");
    serial.write(b"root: ");
    serial.write(text.as_bytes());
    serial.write(b"\r\n");
}
