// SPDX-License-Identifier: MIT OR Apache-2.0
//! The environment: what a service is told, and given, at its start.
//!
//! The root service writes it (postcard) into pages that the service can only read. It names every
//! capability in the service's CSpace; what it does not name is not there. Which ones are there
//! follows from the manifest alone.
//!
//! Names of capabilities:
//!
//! | name | object | rights |
//! |---|---|---|
//! | `endpoint` | Endpoint that the service serves | READ |
//! | `reply`, `reply1`, ... | Reply objects (as many as the manifest says) | all |
//! | `doorbell` | Notification bound to its thread | READ |
//! | NAME of a service or VM that it may call | Endpoint, badged | WRITE |
//! | NAME`.doorbell` | that one's Notification, badge 1 | WRITE |
//! | `ports.3f8` | PortRange from that port on (hexadecimal) | READ, WRITE |
//! | `alive` | root's Notification, for a service that root watches | WRITE |
//! | `log` | the console's Notification, badge [`crate::log_ring::BELL`], for one that may call the console | WRITE |
//! | `irq.3` | Interrupt of that line, bound to `doorbell` | WRITE |
//! | `guest`, `bounce`, `vcpu0`, ... | for a VMM: GuestSpace (WRITE), Frame (READ), Vcpus (WRITE, EXECUTE) | |
//! | `machine` | for the succession service: Machine, to ring | WRITE |
//! | `guest.NAME`, `pager.NAME` | for the checkpoint service: GuestSpace (READ, WRITE, SEAL), its own Endpoint (WRITE), badged | |

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use abi::CPtr;
use serde::{Deserialize, Serialize};

use crate::Badge;

/// Bit of a service's doorbell that callers ring.
pub const DOORBELL: u64 = 1;

/// Bit of a service's doorbell by which root asks whether it is alive. The answer is a signal to
/// `alive`.
pub const WATCH: u64 = 1 << 63;

/// What a service starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Name of the partition.
    pub name: String,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// CPU that its thread runs on.
    pub cpu: u32,
    /// CPUs of the machine.
    pub cpu_count: u32,
    /// Bytes of the heap window.
    pub heap_bytes: u64,
    /// How often the partition was started before.
    pub restarts: u32,
    /// Capabilities by name.
    pub caps: BTreeMap<String, CPtr>,
    /// Who may call the service: the name behind each badge.
    pub clients: BTreeMap<Badge, String>,
    /// Bits of the doorbell that interrupt lines set: line to bit mask.
    pub interrupts: BTreeMap<u32, u64>,
    /// Whether VMs can run here: empty, or the reason why not.
    pub no_virtualization: String,
    /// For a VMM: its VM.
    pub vm: Option<VmConfig>,
    /// For the checkpoint service and the operator: all VMs that run.
    pub vms: Vec<VmEntry>,
    /// For the checkpoint service: memory for its pages.
    pub store: Vec<StoreFrame>,
    /// Where its lines for the log go ([`crate::log_ring`]); empty where it has none. The
    /// capability `log` wakes the console.
    pub log: Window,
    /// For the console: where the lines of others come from.
    pub logs: Vec<LogEntry>,
    /// For the succession service: the VMs that it commands.
    pub controls: Vec<String>,
    /// Successions that led to this hypervisor since the machine started.
    pub generation: u32,
    /// For the operator service: [`crate::operator::key`] of the secret that its peer has to know.
    pub secret: Option<[u8; 32]>,
}

impl Environment {
    /// The capability with this name.
    #[must_use]
    pub fn cap(&self, name: &str) -> Option<CPtr> {
        self.caps.get(name).copied()
    }
}

/// What kind of software a VM runs, which decides how it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", serde(rename_all = "lowercase"))]
pub enum VmKind {
    /// A Linux bzImage with an initrd.
    Linux,
    /// A small guest (`guests/rt`): a static ELF.
    Unikernel,
}

/// Bytes that can be read (or, for `bounce`, written) at an address of the service's space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First address.
    pub va: u64,
    /// Bytes.
    pub size: u64,
}

/// What a VMM is told of its VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmConfig {
    /// Place among the VMs of the manifest; [`VmEntry::index`] is the same.
    pub index: u32,
    /// Name.
    pub name: String,
    /// How to load it.
    pub kind: VmKind,
    /// Bytes of guest memory, from guest-physical 0 on.
    pub memory_bytes: u64,
    /// Virtual CPUs; `vcpu0`, ... are their capabilities.
    pub vcpus: u32,
    /// Command line.
    pub command_line: String,
    /// Kernel image (Linux: bzImage; unikernel: ELF), read-only.
    pub kernel: Window,
    /// Initial file system, read-only; empty if there is none.
    pub initrd: Window,
    /// What a program in the guest has to know to ask for checkpoints.
    pub token: [u8; 16],
    /// How many checkpoints the token is good for.
    pub quota: u32,
    /// Guest memory, read-only; guest-physical 0 at its start.
    pub guest: Window,
    /// The frame `bounce`, readable and writable: the source of `GuestWrite`.
    pub bounce: Window,
    /// Whether the VM comes from another hypervisor: nothing is loaded, its vCPUs are taken over
    /// one by one.
    pub arrives: bool,
}

/// A writer of the log, as the console is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Name of the partition.
    pub name: String,
    /// Its ring.
    pub ring: Window,
}

/// What others are told of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmEntry {
    /// Place among the VMs of the manifest.
    pub index: u32,
    /// Name; also the name of the capability to its VMM.
    pub name: String,
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// How many checkpoints it may have.
    pub quota: u32,
    /// By this badge its VMM calls, and the faults of its pager arrive.
    pub badge: Badge,
    /// For the checkpoint service: guest memory, read-only. Empty for others.
    pub guest: Window,
}

/// One frame of the page store, mapped readable and writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFrame {
    /// The frame (READ): a source of `GuestWrite`.
    pub cap: CPtr,
    /// Address.
    pub va: u64,
    /// log2 of its bytes.
    pub size_bits: u8,
}
