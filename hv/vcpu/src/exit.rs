// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends a round of a guest, whatever the vendor.

use abi::vcpu::Exit;

/// To whom an exit matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An interrupt of the machine waits; nobody but the core needs to know.
    HostInterrupt,
    /// A non-maskable or system-management interrupt of the machine came, and has been served by
    /// now.
    HostNmi,
    /// An exception that was intercepted for the sake of the machine only: its event, for
    /// [`crate::event::reflected`].
    Reflect(u64),
    /// A nested page fault, for the core to look at first: guest-physical address, access
    /// ([`abi::vcpu::access`]).
    Memory(u64, u64),
    /// Something for the VMM.
    Guest(Exit, [u64; 4]),
}
