// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core, put together: three ways in (system call, exception, interrupt) and what happens then.
//!
//! Nothing here is unsafe: instructions and tables are in `x86`, the layout of objects in `store`,
//! the logic of capabilities, paging, scheduling and rendezvous in crates of their own. The rule of
//! every operation: *decode* looks things up and checks, and changes nothing; *perform* cannot
//! fail. An operation that turns out to need the capability lock, or every other CPU stopped, says
//! so while it decodes ([`hold::Abort::Need`]) and is decoded again from the beginning with that in
//! hand.
#![no_std]
#![deny(unsafe_code)]

mod boot;
mod elf;
mod fast;
mod fault;
mod finalise;
mod hold;
mod inbox;
mod interrupt;
mod invoke;
mod ipc;
mod lookup;
mod notify;
mod state;
mod syscall;
mod thread;
mod time;
mod vcpu_run;

pub use boot::start;
