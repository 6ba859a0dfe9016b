// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial line, polled: what the core itself has to say. The first one, unless the command line
//! names another.

use crate::once::SpinLock;
use crate::port::{in8, out8};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

const COM1: u16 = 0x3f8;
const INTERRUPTS: u16 = 1;
const FIFO: u16 = 2;
const LINE: u16 = 3;
const MODEM: u16 = 4;
const STATUS: u16 = 5;
const HOLDING_EMPTY: u8 = 1 << 5;
/// Reads of the status before a byte is given up: far more than one takes at 115200 baud.
const PATIENCE: usize = 100_000;

/// Its first port.
static BASE: AtomicU16 = AtomicU16::new(COM1);

/// Whether the line has been set up, which the first byte to be said does.
static READY: AtomicBool = AtomicBool::new(false);

struct Line;

static LOCK: SpinLock = SpinLock::new();

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(b'\r');
            }
            put(byte);
        }
        Ok(())
    }
}

fn put(byte: u8) {
    let ready = (0..PATIENCE).any(|_| in8(port(STATUS)) & HOLDING_EMPTY != 0);
    if ready {
        out8(port(0), byte);
    }
}

fn port(register: u16) -> u16 {
    BASE.load(Ordering::Relaxed).wrapping_add(register)
}

/// The line that the command line names: `serial=` and its first port, in hexadecimal digits.
pub(crate) fn choose(command_line: &str) {
    let word = command_line.split_ascii_whitespace().find_map(|word| word.strip_prefix("serial="));
    if let Some(base) = word.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
        BASE.store(base, Ordering::Relaxed);
    }
}

/// 115200 baud, 8 data bits, no parity, 1 stop bit, no interrupts.
fn init() {
    const DIVISOR_ACCESS: u8 = 0x80;
    const EIGHT_BITS: u8 = 3;
    out8(port(INTERRUPTS), 0);
    out8(port(LINE), DIVISOR_ACCESS | EIGHT_BITS);
    out8(port(0), 1);
    out8(port(INTERRUPTS), 0);
    out8(port(LINE), EIGHT_BITS);
    out8(port(FIFO), 0xc7);
    out8(port(MODEM), 3);
}

/// Prints a line on the first serial line.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => { $crate::serial::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints; for [`println!`].
pub fn print(arguments: fmt::Arguments) {
    let _turn = LOCK.lock();
    if !READY.swap(true, Ordering::Relaxed) {
        init();
    }
    let _ = Line.write_fmt(arguments);
}
