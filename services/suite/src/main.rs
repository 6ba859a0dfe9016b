// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot tests of the core: a root service that runs the case named on the core's command line and
//! ends.
//!
//! `case=NAME` chooses it; the verdict is the line `case NAME: ok` or `case NAME: FAILED reason` on
//! the first serial port, and the value written to the debug exit port (unless `no-debug-exit` is
//! there too). Cases are in `case/`, a file per object; the table is `cases.rs`.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
#[macro_use]
mod outcome;
#[cfg(target_os = "none")]
mod case;
#[cfg(target_os = "none")]
mod cases;
#[cfg(target_os = "none")]
mod child;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod measure;
#[cfg(target_os = "none")]
mod random;
#[cfg(target_os = "none")]
mod run;

#[cfg(target_os = "none")]
rt::root_entry!(run::main, 8 << 20);

#[cfg(not(target_os = "none"))]
fn main() {}
