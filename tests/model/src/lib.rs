// SPDX-License-Identifier: MIT OR Apache-2.0
//! The specification of the core as a program that is too simple to be wrong.
//!
//! Sets and maps, explicit parents, nothing kept that can be computed; speed does not count. The
//! tests of this crate run random operations on it and on the core's own crates, and compare every
//! result and every state.
#![forbid(unsafe_code)]

pub mod capability;
pub mod random;
