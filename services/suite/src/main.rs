// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot tests of the core: a root service that runs the case that the core's command line names.
//!
//! `case=NAME` chooses; without it, all names are listed. The verdict is one line, `case NAME: ok` or `case NAME: FAILED reason`, on
//! COM1, and the value written to the exit device of the emulator.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod bench;
#[cfg(target_os = "none")]
mod cases;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod suite;

#[cfg(target_os = "none")]
rt::root_entry!(suite::main, 4 << 20);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the test suite runs on the core: `cargo xtask test` boots it");
    std::process::exit(2);
}
