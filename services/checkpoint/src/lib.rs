// SPDX-License-Identifier: MIT OR Apache-2.0
//! The logic of the checkpoint service.
//!
//! Owns the page store's books and its catalogue, the history of each VM, and the order of steps by
//! which a checkpoint comes into being or is brought back. Everything outside (system calls, the
//! pages themselves) is behind [`Outside`], so that all of it runs in host tests. The loop that
//! receives messages is the program's (`main.rs`).
//!
//! Rules kept here: a checkpoint is there whole or not at all; what fails leaves the VM running and
//! unsealed; no step is long, so that a VM that waits for a page never waits for another VM's
//! gigabytes.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod bitmap;
mod catalogue;
mod leaf;
mod making;
mod outside;
mod requests;
mod restoring;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod vm;

pub use catalogue::Loaded;
pub use outside::{Books, Harvest, Outside, PAGE, Page};
pub use service::{Answer, Service, VmSetup};
pub use store::ZERO;
