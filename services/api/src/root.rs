// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root service: what runs, on what, and what went wrong.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Interface, estate};

/// Most entries in one reply that lists something.
pub const MAX_LIST: usize = 16;

/// Most bytes of a line of root's own log.
pub const MAX_LINE: usize = 200;

/// The interface.
pub enum Root {}

impl Interface for Root {
    type Request = Request;
    type Reply = Reply;
    const LABEL: u32 = 0x726f_6f74;
    const NAME: &'static str = "root";
}

/// What is asked. Lists come in parts of at most [`MAX_LIST`], from an index on, and end with an
/// empty part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The partitions, from this one on.
    Ps(u32),
    /// The machine.
    Inventory,
    /// The memory regions, from this one on.
    Regions(u32),
    /// The newest faults, from this one on (0 is the newest).
    Faults(u32),
    /// What root itself has to say, from this line on; whoever keeps the log asks when its doorbell
    /// rings.
    Log(u64),
    /// Start a partition anew (controlling callers only).
    Restart(String),
    /// End a partition (controlling callers only).
    Kill(String),
    /// Switch the machine off (controlling callers only). Does not return where it succeeds.
    PowerOff,
    /// Give up or take in pieces of the machine (for the succession service only).
    Estate(estate::Request),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Partitions.
    Ps(Vec<Process>),
    /// The machine.
    Inventory(Inventory),
    /// Memory regions.
    Regions(Vec<Region>),
    /// Faults, newest first.
    Faults(Vec<FaultRecord>),
    /// Lines of root's own log.
    Log {
        /// Number of the first line: later than asked for where older ones are forgotten.
        start: u64,
        /// Lines, at most [`MAX_LIST`]; empty at the end.
        lines: Vec<LogLine>,
    },
    /// Not done, and why; nothing has changed.
    Refused(String),
    /// The caller may not do that.
    Denied,
    /// To [`Request::Estate`].
    Estate(estate::Reply),
}

/// A line of root's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Whether root has written it to the serial port itself, before the console ran.
    pub printed: bool,
    /// TSC at which it was written.
    pub at: u64,
    /// Text, at most [`MAX_LINE`] bytes.
    pub text: String,
}

/// What a partition is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessState {
    /// It was started and has not ended.
    Running,
    /// It could not be started, or was not, and why.
    Refused(String),
    /// It faulted and stays down.
    Faulted(String),
    /// It was ended.
    Killed,
    /// It runs under another hypervisor, or not yet under this one.
    Away,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name.
    pub name: String,
    /// What it is doing.
    pub state: ProcessState,
    /// CPU of its thread.
    pub cpu: u32,
    /// Priority of its thread.
    pub priority: u8,
    /// Bytes of memory set aside for it, guest memory included.
    pub memory_bytes: u64,
    /// How often it was started anew.
    pub restarts: u32,
    /// Whether it is a VM.
    pub is_vm: bool,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// APIC ids of the CPUs that run.
    pub apic_ids: Vec<u32>,
    /// Bytes handed out as untyped memory at boot.
    pub memory_bytes: u64,
    /// Bytes of them that are not yet used.
    pub free_bytes: u64,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// Version of the core's contract.
    pub abi_version: u32,
    /// Why no VM can run here; empty if VMs can.
    pub no_virtualization: String,
    /// Names of the boot modules.
    pub modules: Vec<String>,
    /// TSC ticks from the entry of the core to the start of the root service.
    pub boot_ticks: u64,
    /// Times that CPUs were stopped for a change of capabilities.
    pub rendezvous: u64,
}

/// A region of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Number of [`abi::boot::RegionKind`].
    pub kind: u64,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Partition.
    pub name: String,
    /// Milliseconds since boot.
    pub at_ms: u64,
    /// What happened, in words.
    pub text: String,
}
