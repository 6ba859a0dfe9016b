// SPDX-License-Identifier: MIT OR Apache-2.0
//! Succession: another hypervisor is started beside this one and takes over.
//!
//! The operator sends an image ([`Request::Stage`], [`Request::Part`]), asks what would happen
//! ([`Request::Plan`]), begins ([`Request::Start`]), looks on ([`Request::Status`],
//! [`Request::Resources`]) and, once only its home is left to this hypervisor, lets it leave
//! ([`Request::Retire`]) or takes everything back ([`Request::Abort`]). The same interface is
//! served by the successor: the operator's line moves to it in the middle, and requests go on
//! there.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Interface;

mod part;

pub use part::{MAX_PART, MAX_UNPACKED, Parts, unpack};

/// Most entries in one [`Reply::Resources`].
pub const MAX_LIST: usize = 16;
/// Largest image.
pub const MAX_IMAGE: u64 = 24 << 20;

/// The interface.
pub enum Succession {}

impl Interface for Succession {
    type Request = Request;
    type Reply = Reply;
    const LABEL: u32 = 0x7375_6363;
    const NAME: &'static str = "succession";
}

/// What is asked. All but [`Request::Status`] and [`Request::Resources`] are for controlling
/// callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Begin to send an image; what was staged before is dropped.
    Stage {
        /// Bytes of it.
        bytes: u64,
    },
    /// A part of the image, from `offset` on, which is how much was sent so far.
    Part {
        /// Bytes before the part.
        offset: u64,
        /// At most [`MAX_PART`] bytes, which are at most [`MAX_UNPACKED`] of the image, compressed
        /// ([`unpack`]).
        #[serde(with = "crate::bytes")]
        packed: Vec<u8>,
    },
    /// Check the staged image and say what a succession would do. Nothing moves.
    Plan,
    /// Begin: carve out, launch, and hand over all but this hypervisor's home.
    Start,
    /// How far it is.
    Status,
    /// The resources and their owners, from this one on.
    Resources(u32),
    /// Give up: everything goes back to the incumbent.
    Abort,
    /// The point of no return: the incumbent leaves.
    Retire,
    /// Fault injection: in the next succession the service of one party, or all of that party,
    /// stops as by a bug of its own, once.
    Fault(Fault),
}

/// Where a succession service, or a whole hypervisor, is to stop as by a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In the successor, or else in the incumbent.
    pub successor: bool,
    /// Before the action of this number, from 0 on, that it performs.
    pub action: u32,
    /// Not the service alone, which would be started anew: all CPUs of its hypervisor stop for
    /// good, and nothing is said.
    pub all: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or begun.
    Done,
    /// So many bytes of the image are here.
    Staged(u64),
    /// What a succession would do.
    Plan(Plan),
    /// How far it is.
    Status(Status),
    /// Resources and their owners; empty at the end.
    Resources(Vec<Holding>),
    /// Not done, and why; nothing has changed.
    Refused(String),
    /// The caller may not do that.
    Denied,
}

/// What a succession would do, and what stands in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this hypervisor.
    pub from: String,
    /// Version of the image.
    pub to: String,
    /// APIC id of the CPU that is carved out.
    pub cpu: u32,
    /// Bytes of memory that are carved out.
    pub memory_bytes: u64,
    /// First port of the console that is carved out.
    pub console: u16,
    /// The VMs that move.
    pub vms: Vec<String>,
    /// Why it cannot begin; empty if it can.
    pub obstacles: Vec<String>,
}

/// How far a succession is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// There is none.
    #[default]
    Quiet,
    /// The successor's home is being carved out.
    Carving,
    /// The successor starts.
    Launched,
    /// Resources move to the successor.
    Moving,
    /// Only its home is left to the incumbent: it can retire.
    Ready,
    /// The incumbent leaves.
    Retiring,
    /// Resources go back to the incumbent.
    Returning,
}

/// How far it is, as the service that answers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the hypervisor that answers.
    pub version: String,
    /// Whether it is the incumbent: it began with everything, or owns everything by now.
    pub incumbent: bool,
    /// How far.
    pub phase: Phase,
    /// Successions that this line of hypervisors has completed since the machine started.
    pub generation: u32,
    /// Resources in the ledger.
    pub resources: u32,
    /// Of them, those that the answering hypervisor owns.
    pub owned: u32,
    /// What was last done, or went wrong, in words.
    pub message: String,
    /// What the last handover of each vCPU cost.
    pub blackouts: Vec<Blackout>,
    /// TSC ticks from the launch of the hypervisor that answers until it could receive; 0 if it was
    /// not launched by another.
    pub launch_ticks: u64,
    /// TSC ticks from the request to begin until the hypervisor that answers owned everything,
    /// without the time that the incumbent stood ready to leave; 0 as above.
    pub total_ticks: u64,
    /// Allocations, lines logged, and waits for anybody but the VM's VMM, by the succession
    /// services of both hypervisors between the stop of a VM and its run, in all of that
    /// succession: none, if things are as they should be.
    pub switch_extras: [u64; 3],
}

/// The time during which a vCPU did not run because it changed owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackout {
    /// VM.
    pub vm: String,
    /// Number of the vCPU.
    pub vcpu: u32,
    /// TSC ticks from its last exit under the former owner to its first entry under the new one.
    pub ticks: u64,
}

/// A resource and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// What: `cpu 3`, `extent 100000-8000000`, `line com2`, `vm linux`, `vcpu linux/0`.
    pub name: String,
    /// Whether the answering hypervisor owns it.
    pub mine: bool,
    /// `held`, `leaving`, or `with VM`.
    pub state: String,
    /// Bytes, for memory.
    pub bytes: u64,
}
