// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first serial line, polled: what the core itself has to say.

/// Prints a line on the first serial line.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => { $crate::serial::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints; for [`println!`].
pub fn print(arguments: core::fmt::Arguments) {
    let _ = arguments;
    todo!()
}
