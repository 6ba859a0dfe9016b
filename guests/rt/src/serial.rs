// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: a 16550.

use super::cpu::{in8, out8};
use abi::guest::SERIAL_PORT;
use core::fmt::{self, Write};

const FIFO_CONTROL: u16 = SERIAL_PORT + 2;
const LINE_CONTROL: u16 = SERIAL_PORT + 3;
const LINE_STATUS: u16 = SERIAL_PORT + 5;
const FIFO_BYTES: usize = 16;
const EIGHT_BITS: u8 = 3;
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// Where `print!` writes.
pub struct Console;

/// Eight bits, FIFO on, no interrupts.
pub(crate) fn set_up() {
    out8(LINE_CONTROL, EIGHT_BITS);
    out8(SERIAL_PORT + 1, 0);
    out8(FIFO_CONTROL, 7);
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(FIFO_BYTES) {
            // An absent device reads as all ones, so this ends there too.
            while in8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
                core::hint::spin_loop();
            }
            for &byte in part {
                out8(SERIAL_PORT, byte);
            }
        }
        Ok(())
    }
}

/// Writes to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = write!($crate::serial::Console, $($argument)*);
    }};
}

/// Writes a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", format_args!($($argument)*)) };
}
