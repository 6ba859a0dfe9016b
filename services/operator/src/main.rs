// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator service: the operator's line, on the second serial port.
//!
//! Whoever shows the secret there may ask of the other services what [`api::operator::permitted`]
//! lists and the manifest lets this service call. The protocol is [`api::operator`]'s; this program
//! carries bytes and requests.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod proxy;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod uart;

#[cfg(target_os = "none")]
rt::entry!(serve::main);

#[cfg(not(target_os = "none"))]
fn main() {}
