// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses in the space of a service.
//!
//! The root service maps everything at these before the service starts; a service maps nothing.
//! Sizes are in the environment.

/// IPC buffer, one page.
pub const IPC_BUFFER: u64 = 0x1000_0000_0000;
/// Environment, read-only: [`ENVIRONMENT_HEADER`] bytes (length of the rest, bytes of the heap
/// window; both as little-endian words), then the environment in postcard.
pub const ENVIRONMENT: u64 = 0x1000_1000_0000;
/// Bytes before the environment proper.
pub const ENVIRONMENT_HEADER: usize = 16;
/// Most bytes of the environment, header included.
pub const ENVIRONMENT_MAX: u64 = 64 << 10;
/// End of the stack.
pub const STACK_TOP: u64 = 0x1000_3000_0000;
/// Heap window.
pub const HEAP: u64 = 0x1000_4000_0000;
/// Page of vCPU 0; that of vCPU n is n pages later.
pub const VCPU_PAGES: u64 = 0x1000_8000_0000;
/// Bounce frame of a VMM.
pub const BOUNCE: u64 = 0x1000_9000_0000;
/// log2 of the bytes of the bounce frame.
pub const BOUNCE_BITS: u8 = 16;
/// Handover window of a VMM ([`api::handover`]), while there is a succession.
pub const HANDOVER: u64 = 0x1000_a000_0000;
/// The bridge, in the succession service.
pub const BRIDGE: u64 = 0x1000_b000_0000;
/// The carve-out, in the succession service, until it is launched.
pub const CARVE_OUT: u64 = 0x1000_c000_0000;
/// The service's own ring of log lines ([`api::log_ring`]).
pub const LOG: u64 = 0x1000_d000_0000;
/// The rings of all partitions, in the console; that of the partition at place i is i *
/// [`LOG_STRIDE`] later.
pub const LOGS: u64 = 0x1000_e000_0000;
/// Distance between two of them.
pub const LOG_STRIDE: u64 = 0x10_0000;
/// Memory of guest 0, read-only; that of guest i is i * [`GUEST_STRIDE`] later.
pub const GUEST: u64 = 0x2000_0000_0000;
/// Distance between the windows of two guests.
pub const GUEST_STRIDE: u64 = 0x80_0000_0000;
/// Boot modules, read-only.
pub const MODULES: u64 = 0x3000_0000_0000;
/// Page store of the checkpoint service.
pub const STORE: u64 = 0x4000_0000_0000;
/// First address that is no user address.
pub const USER_END: u64 = 0x0000_8000_0000_0000;
