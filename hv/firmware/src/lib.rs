// SPDX-License-Identifier: MIT OR Apache-2.0
//! What boot loader and firmware say, read without trust.
//!
//! Owns the reading of the multiboot2 information, of the memory map and of the ACPI tables that
//! the core needs (the root pointer, the MADT). Getting at the bytes is left to the caller
//! ([`acpi::Physical`]). Nothing in here panics on what it reads: a table that makes no sense is as
//! good as none.

#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
pub mod list;
pub mod madt;
pub mod memory;
pub mod multiboot;

pub use multiboot2;
