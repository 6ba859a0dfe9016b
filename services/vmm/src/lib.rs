// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual machine monitor as a library: what a VM's process does, apart from system calls.
//!
//! Owns the loading of guests ([`boot`]), the answer to every exit ([`exit`]), the decoding of
//! instructions ([`instruction`]), the life of a VM ([`machine`]), its checkpoints ([`checkpoint`])
//! and its way from one hypervisor to another ([`handover`]). The platform that a guest sees is in
//! [`platform`] and [`device`]. All of it runs on the host in tests: memory is
//! [`memory::GuestMemory`], the processor a [`abi::vcpu::VcpuPage`]. System calls are left to the
//! program (`main.rs`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod aml;
pub mod backend;
pub mod boot;
pub mod checkpoint;
pub mod console;
pub mod device;
pub mod exit;
pub mod handover;
pub mod hypercall;
pub mod instruction;
pub mod machine;
pub mod memory;
pub mod platform;
pub mod requests;
pub mod translate;
pub mod vcpu;
