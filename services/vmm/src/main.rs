// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VMM service: one process, one thread, one VM.
//!
//! Owns what stands behind the library's traits: system calls (`host`) and the checkpoint service
//! (`checkpoint_client`), and the loop between guest and callers (`serve`).
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
mod checkpoint_client;
#[cfg(target_os = "none")]
mod host;
#[cfg(target_os = "none")]
mod serve;

#[cfg(target_os = "none")]
rt::entry!(serve::main);

#[cfg(not(target_os = "none"))]
fn main() {}
