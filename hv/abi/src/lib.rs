// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contract between the core and everything that is not the core.
//!
//! Owns every number and layout that crosses the boundary of the privileged mode: system calls,
//! object types, invocations, rights, messages, errors, faults, virtual-CPU exits, boot
//! information, and the hypercalls of a guest. It has no dependencies and no behaviour beyond
//! packing and unpacking, so that the core, services, guests and the host tool can all import it.
//!
//! A number that has been released never changes its meaning. A change here is a change of
//! [`VERSION`] and an entry in `CHANGELOG.md`.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod error;
pub mod fault;
pub mod guest;
pub mod hypercall;
pub mod invocation;
pub mod message;
pub mod object;
pub mod rights;
pub mod syscall;
pub mod vcpu;

/// Version of this contract; the core reports it in [`boot::BootInfo::abi_version`].
pub const VERSION: u32 = 1;

/// Index of a slot in the caller's CSpace. Slot 0 is never filled: it means "none".
pub type CPtr = u64;

/// log2 of the smallest page and of the smallest object: every object owns whole pages.
pub const PAGE_BITS: u8 = 12;
/// Size of a page in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;
