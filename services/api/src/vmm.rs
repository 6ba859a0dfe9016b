// SPDX-License-Identifier: MIT OR Apache-2.0
//! One VM, as its VMM shows it to others.
//!
//! The VMM's one thread may be inside the guest: callers ring the doorbell first (`rt::ipc::Client`
//! does).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Interface;

/// Most bytes of console in one request or reply.
pub const MAX_CONSOLE: usize = 3072;

/// The interface. Its servers go by the names of their VMs.
pub enum Vmm {}

impl Interface for Vmm {
    type Request = Request;
    type Reply = Reply;
    const LABEL: u32 = 0x0076_6d6d;
    const NAME: &'static str = "vmm";
}

/// What is asked. All but [`Request::Status`] and [`Request::ConsoleRead`] are for controlling
/// callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How is it?
    Status,
    /// Stop its vCPUs for now.
    Pause,
    /// Let them go on.
    Resume,
    /// Stop it for good: the guest is not asked.
    Stop,
    /// Load it anew and run it.
    Start,
    /// Read what the guest has written to its console, from a place on.
    ConsoleRead {
        /// Bytes written before the place.
        cursor: u64,
    },
    /// Type on its console; the answer says how many bytes were taken.
    ConsoleWrite(#[serde(with = "crate::bytes")] Vec<u8>),
    /// Create a checkpoint.
    CheckpointCreate,
    /// Go back to a checkpoint.
    Restore {
        /// Which.
        id: u64,
    },
    /// Get ready for a handover, so that little is left to do while the VM stands still. Where the
    /// VM is, its state is written to the handover window as a base ([`crate::handover`]); where it
    /// is to come, that base is read. A VM that is stopped for a handover, and a window without a
    /// base, are no errors.
    Prepare,
    /// Stop one vCPU so that another hypervisor may run it; one that is stopped for that already is
    /// no error. With the last one, the state of the whole machine is in the handover window
    /// ([`crate::handover`]) when the answer comes.
    HandOver {
        /// Its number.
        vcpu: u32,
    },
    /// Run one vCPU from the state in the handover window; the first one brings the devices. Of a
    /// vCPU that was stopped here, and is wanted back, the state that is still here serves, unless
    /// the VM has run elsewhere meanwhile. A vCPU that runs already is no error.
    TakeOver {
        /// Its number.
        vcpu: u32,
    },
    /// Nobody has the VM's state any more: the VM counts as failed, and can be started anew. One
    /// that is here is left alone, and refused.
    Lose {
        /// Even if there is a state in the handover window: it cannot be used, and nobody else
        /// will.
        anyway: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// How it is.
    Status(Status),
    /// A part of what the guest wrote.
    Console {
        /// Place of the first byte: later than the cursor where the ring no longer goes back so
        /// far.
        start: u64,
        /// At most [`MAX_CONSOLE`] bytes; empty at the end.
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// So many bytes were taken.
    Taken(u32),
    /// A checkpoint was created.
    Checkpoint {
        /// Its id.
        id: u64,
    },
    /// Not done, and why; nothing has changed.
    Refused(String),
    /// The caller may not do that.
    Denied,
}

/// What a VM is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Its vCPUs run.
    Running,
    /// Its vCPUs are stopped and can go on.
    Paused,
    /// It has ended: by itself, or because it was told to.
    Stopped,
    /// It cannot go on, and why.
    Failed(String),
    /// Its vCPUs are stopped for another hypervisor, or it waits for them from one.
    Away,
}

/// How a VM is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Exits so far.
    pub exits: u64,
    /// Milliseconds since it was started.
    pub uptime_ms: u64,
    /// Checkpoints that the token may still create, as far as known.
    pub quota_left: u32,
    /// Bytes that the guest has written to its console.
    pub console_end: u64,
    /// TSC ticks that the last checkpoint held the vCPUs, from the exit to the next entry; 0 before
    /// the first.
    pub last_pause_ticks: u64,
    /// For each vCPU, the TSC ticks that its last handover held it: from its last exit under one
    /// hypervisor to its first entry under the other; for one that was not executing, until it was
    /// here. Empty before the first.
    pub blackouts: Vec<u64>,
}
