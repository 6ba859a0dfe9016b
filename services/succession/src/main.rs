// SPDX-License-Identifier: MIT OR Apache-2.0
//! The succession service: the protocol of the library beside it, with input and output.
//!
//! Owns the staged image, the bridge as this party sees it, and the loop that feeds the protocol's
//! machine with events and performs its actions. What each action means for the machine is root's
//! to know (`api::estate`), what for a VM its VMM's. The same program serves both parties: which
//! one it is, root says.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod service;

#[cfg(target_os = "none")]
rt::entry!(service::main);

#[cfg(not(target_os = "none"))]
fn main() {}
