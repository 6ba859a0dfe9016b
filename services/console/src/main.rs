// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console service: one log for all, on the first serial port and in memory.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod serve;

#[cfg(target_os = "none")]
rt::entry!(serve::main);

#[cfg(not(target_os = "none"))]
fn main() {}
