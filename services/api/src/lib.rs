// SPDX-License-Identifier: MIT OR Apache-2.0
//! What services say to one another.
//!
//! One file per interface, with its messages; [`Interface`] ties a request to its reply. Besides:
//! what a service is given at its start ([`environment`]) and what the whole system is made of
//! ([`manifest`]). No system calls here: `rt` carries the messages, so that the host tool can use
//! the same types.
#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod bytes;
pub mod checkpoint;
pub mod console;
pub mod environment;
pub mod estate;
pub mod handover;
pub mod interface;
pub mod log_ring;
pub mod manifest;
pub mod operator;
pub mod root;
pub mod succession;
pub mod vmm;

pub use environment::Environment;
pub use interface::Interface;

/// Identity that the core vouches for: the badge of the capability by which a message came. For
/// interface calls it is the caller's place in the manifest plus one.
pub type Badge = u64;

/// Bit of a badge: the manifest lets the caller control the service, not only use it.
pub const CONTROL: Badge = 1 << 32;
