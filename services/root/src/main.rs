// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root service: builds the partitions that the manifest describes, and restarts what faults.
//!
//! It starts with everything and gives away what the manifest says, no more. It calls nobody:
//! everybody depends on it, so it must not wait for anyone. What it decides without the core is in
//! the library beside it.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod build;
#[cfg(target_os = "none")]
mod estate;
#[cfg(target_os = "none")]
mod failure;
#[cfg(target_os = "none")]
mod frames;
#[cfg(target_os = "none")]
mod grant;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod journal;
#[cfg(target_os = "none")]
mod modules;
#[cfg(target_os = "none")]
mod partition;
#[cfg(target_os = "none")]
mod plan;
#[cfg(target_os = "none")]
mod requests;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod succession;
#[cfg(target_os = "none")]
mod system;
#[cfg(target_os = "none")]
mod watch;

/// Version of this build: what the environment of the build says, or the package's.
#[cfg(target_os = "none")]
const fn version() -> &'static str {
    match option_env!("UNDERSTUDY_VERSION") {
        Some(version) => version,
        None => env!("CARGO_PKG_VERSION"),
    }
}

#[cfg(target_os = "none")]
rt::root_entry!(serve::main, 4 << 20);

#[cfg(not(target_os = "none"))]
fn main() {}
