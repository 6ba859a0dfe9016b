// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the console decides without a serial port: what a line looks like, and which lines are
//! kept.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod line;
pub mod store;
