// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checkpoint service: keeps total states of VMs and brings them back.
//!
//! This program receives requests and sealed writes, and between them does the work that is due,
//! one short step at a time. What the steps are is the library's business.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod core_calls;
#[cfg(target_os = "none")]
mod serve;

#[cfg(target_os = "none")]
rt::entry!(serve::main);

#[cfg(not(target_os = "none"))]
fn main() {}
