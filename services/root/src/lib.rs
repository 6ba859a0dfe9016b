// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the root service decides without the core: reading archives and images, and planning
//! memory.
//!
//! Everything here runs and is tested on the host. The program around it, which makes the system
//! calls, is `main.rs`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod archive;
pub mod block;
pub mod image;
pub mod look;
pub mod pack;
pub mod ranges;
pub mod slots;
