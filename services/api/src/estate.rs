// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the root service does for a succession: give up and take in pieces of the machine.
//!
//! For the one partition whose manifest entry says `succession = true`. Root knows how to release
//! and adopt each kind of resource; in which order, and whose it is at any moment, is the
//! protocol's (crate `succession`). Resources are named by their place in the [`Inventory`], which
//! lies in the bridge so that both sides know it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

mod bounds;

use crate::environment::VmKind;

/// The bridge: offset of the ledger, two pages.
pub const LEDGER_AT: u64 = 0;
/// Offset of the page by which the party that wrote the ledger speaks.
pub const FROM_FIRST_AT: u64 = 0x2000;
/// Offset of the page by which the other one speaks.
pub const FROM_SECOND_AT: u64 = 0x3000;
/// Offset of the inventory: its bytes as a little-endian word, then postcard.
pub const INVENTORY_AT: u64 = 0x4000;
/// Offset of a word behind the messages, for fault injection: number plus one of the action before
/// which the successor's service is to stop; [`FAULT_ALL`] is added where all of the successor is.
pub const FAULT_AT: u64 = INVENTORY_AT - 8;
/// See [`FAULT_AT`].
pub const FAULT_ALL: u64 = 1 << 63;
/// Offset of a word before it: TSC at the request to begin.
pub const BEGUN_AT: u64 = FAULT_AT - 8;
/// Offset of a word before that: TSC at the launch.
pub const LAUNCHED_AT: u64 = BEGUN_AT - 8;
/// Offsets of the words before that: TSC at which the party that wrote the ledger, and the other
/// one, last were at work.
pub const ALIVE_AT: [u64; 2] = [LAUNCHED_AT - 8, LAUNCHED_AT - 16];
/// Offset of the word before that: ticks that the incumbent stood ready to leave, until it was told
/// to.
pub const WAITED_AT: u64 = ALIVE_AT[1] - 8;
/// Offsets of the words before that: what both parties' services allocated, and logged, between the
/// stop of a VM and its run, and how often they waited for anybody but its VMM.
pub const EXTRAS_AT: [u64; 3] = [WAITED_AT - 8, WAITED_AT - 16, WAITED_AT - 24];
/// Offset of the first VM's handover window; those of the others follow.
pub const WINDOWS_AT: u64 = 0x2_0000;
/// Name of the boot module that is the bridge: who finds it was started beside another hypervisor.
pub const BRIDGE_MODULE: &str = "bridge";

/// First of the eight ports of the console that a carve-out gets: the third serial port.
pub const SPARE_CONSOLE: u16 = 0x3e8;

/// log2 of the bytes of a bridge for this many VMs.
#[must_use]
pub const fn bridge_bits(vms: u64) -> u8 {
    (WINDOWS_AT + vms * crate::handover::WINDOW_BYTES).next_power_of_two().ilog2() as u8
}

/// Memory, in whole pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Range {
    /// First byte after it.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.base.saturating_add(self.bytes)
    }
}

/// What an extent is to the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    /// Home of the party that wrote the ledger: all that it has and that is listed nowhere else.
    First,
    /// Home of the other one: the carve-out and the bridge.
    Second,
    /// Nobody uses it.
    Free,
    /// Memory of this VM.
    Vm(u8),
    /// This page store, with the checkpoints that are in it.
    Store(u8),
}

/// Memory that changes owner as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// What it is for.
    pub used: Use,
    /// Where it lies; sorted, none of them touching.
    pub ranges: Vec<Range>,
}

/// Ports and interrupt lines that change owner together: those of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The service.
    pub service: String,
    /// Its ports, both ends included.
    pub ports: Vec<(u16, u16)>,
    /// Its interrupt lines.
    pub interrupts: Vec<u32>,
}

/// A block of memory that somebody has mapped: a naturally aligned power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Physical address.
    pub base: u64,
    /// log2 of its bytes.
    pub bits: u8,
    /// Guest-physical address, or virtual address in the service.
    pub at: u64,
}

/// A VM, as far as it is not in its typed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// Name.
    pub name: String,
    /// How it is loaded when it starts anew.
    pub kind: VmKind,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Its memory.
    pub memory: Vec<Block>,
    /// vCPUs.
    pub vcpus: u32,
    /// Command line.
    pub command_line: String,
    /// Module with its kernel.
    pub kernel: String,
    /// Module with its initial file system; empty for none.
    pub initrd: String,
    /// Token of its hypercalls.
    pub token: [u8; 16],
    /// Checkpoints that the token is good for.
    pub quota: u32,
}

/// The page store of a service that keeps checkpoints. What is in it is for that service to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The service.
    pub service: String,
    /// Its memory, in the order of its slots; `at` is where the service has it.
    pub frames: Vec<Block>,
}

/// A boot module that VMs start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Name.
    pub name: String,
    /// Where it lies.
    pub range: Range,
    /// Its bytes, without what fills up the last page.
    pub bytes: u64,
}

/// Everything that changes owner in a succession. Places in the lists are the numbers of the
/// ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Version of the hypervisor that wrote it.
    pub version: String,
    /// Successions before this one since the machine started.
    pub generation: u32,
    /// APIC id of the CPU that the first party leaves with, and that it is rung at.
    pub first_cpu: u32,
    /// APIC id of the CPU that the second party begins on, and that it is rung at.
    pub second_cpu: u32,
    /// The key that the operator has to know, if there is one.
    pub secret: Option<[u8; 32]>,
    /// APIC ids of all CPUs.
    pub cpus: Vec<u32>,
    /// Memory.
    pub extents: Vec<Extent>,
    /// Ports and interrupt lines.
    pub lines: Vec<Line>,
    /// VMs.
    pub vms: Vec<Vm>,
    /// Modules that VMs start from; part of the first party's home.
    pub modules: Vec<Module>,
    /// Page stores.
    pub stores: Vec<Store>,
}

impl Inventory {
    /// Bytes of all memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.extents.iter().flat_map(|extent| &extent.ranges).map(|range| range.bytes).sum()
    }
}

/// A resource by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A CPU.
    Cpu(u8),
    /// An extent.
    Extent(u8),
    /// Ports and interrupt lines.
    Line(u8),
}

/// What the succession service asks of root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What is in the way of a carve-out of this many bytes? Nothing changes.
    Examine(u64),
    /// Take a CPU and this many bytes out of use and make a bridge; both are mapped into the
    /// caller, at `rt::layout::CARVE_OUT` and `rt::layout::BRIDGE`, with the inventory in the
    /// bridge. Repeated, it says the same.
    Carve(u64),
    /// Is there a succession? Then map the bridge into the caller.
    Bridge,
    /// Let the carve-out go and send its CPU to a multiboot2 entry.
    Launch {
        /// Physical address of the entry.
        entry: u64,
        /// Physical address of the multiboot2 information.
        information: u64,
    },
    /// Stop using a resource, which is then somebody else's to use. With a CPU, its last word goes
    /// to a word of the ledger.
    Release {
        /// Which.
        item: Item,
        /// For a CPU: offset in the bridge and value of the last word.
        last_word: Option<(u64, u64)>,
    },
    /// Begin to use a resource that nobody uses. One that is in use here is no error.
    Adopt(Item),
    /// Build the VM with this number around its memory, running nothing; and map its handover
    /// window. One that is built is no error.
    Build(u8),
    /// Map the handover window of this VM of ours into its VMM.
    Open(u8),
    /// All of the VM with this number is ours and runs: a VMM that is started anew from now on
    /// starts its guest anew, and waits for nobody.
    Arrived(u8),
    /// The VM is the other party's: its VMM ends, its memory leaves.
    Forget(u8),
    /// The other party's CPUs stop, whatever they do.
    Fence,
    /// Fault injection: all CPUs of this hypervisor stop, and nothing is given to anyone.
    Stop,
    /// It is over: this party owns everything. What a succession needs only while it lasts is given
    /// back.
    Settle,
}

/// What root answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Nothing is in the way of a carve-out.
    Fit {
        /// APIC id of the CPU.
        cpu: u32,
        /// First port of the console.
        console: u16,
        /// Names of the VMs that would move.
        vms: Vec<String>,
    },
    /// There is a succession, and the bridge is mapped.
    Open {
        /// Whether this is the party that began it.
        first: bool,
    },
    /// The carve-out.
    Carved {
        /// Its memory, all of it mapped at `rt::layout::CARVE_OUT`.
        range: Range,
        /// The bridge.
        bridge: Range,
        /// A page below 1 MiB in which CPUs are started, or an empty range.
        start_page: Range,
        /// Physical address of the ACPI root pointer.
        rsdp: u64,
        /// First port of the console.
        console: u16,
        /// Words of this hypervisor's command line that are for the other one too.
        command_line: String,
    },
    /// Not done, and why; nothing has changed.
    Refused(String),
    /// The caller may not do that.
    Denied,
}
