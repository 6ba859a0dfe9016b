// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a processor offers, decided from CPUID alone.
//!
//! Owns the one table of optional features: each bit of CR4 that the core sets and each instruction
//! or register that only some processors have is used behind a field of [`Features`], and those
//! that the core cannot do without are in [`REQUIRED`]. CPUID comes in as a closure, so host tests
//! can play any processor. Executing the instructions belongs to `x86`; what a guest may have
//! belongs to `vcpu`.
#![no_std]
#![forbid(unsafe_code)]

mod features;

pub use features::{Features, REQUIRED, Required, missing};
