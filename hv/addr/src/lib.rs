// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses as types.
//!
//! Owns the difference between a physical, a virtual and a guest-physical address, and the
//! arithmetic on them: every operation that could leave the domain is checked. What an address
//! refers to is the business of others.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod address;
mod range;
mod size;

pub use address::{GuestPhysAddr, PhysAddr, VirtAddr};
pub use range::PhysRange;
pub use size::PageSize;
