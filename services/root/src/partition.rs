// SPDX-License-Identifier: MIT OR Apache-2.0
//! A partition: what stays with root when it starts anew, and what is taken back.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use abi::CPtr;
use abi::object::ObjectType;
use abi::rights::Rights;
use api::console::Console;
use api::environment::WATCH;
use api::estate;
use api::manifest;
use api::root::ProcessState;
use api::{Badge, Interface, log_ring};
use root::look::Pulse;
use rt::Cap;
use rt::cap::{CNode, Endpoint, HostSpace, Interrupt, Notification, Thread, Untyped};
use rt::layout;

use crate::estate::Estate;
use crate::failure::{Result, core};
use crate::frames::Frames;
use crate::guest::GuestMemory;

/// Most restarts within [`RESTART_WINDOW_MS`].
const MAX_RESTARTS: usize = 5;
/// See [`MAX_RESTARTS`].
const RESTART_WINDOW_MS: u64 = 60_000;

/// Stores come in multiples of this.
const STORE_UNIT: u64 = 2 << 20;
/// Image, tables and objects of a partition, generously.
const OVERHEAD: u64 = 2 << 20;

/// A service, or a VM with its VMM.
pub struct Partition {
    /// What the manifest says of it.
    pub spec: manifest::Partition,
    /// What it is doing.
    pub state: ProcessState,
    /// How often it was started anew.
    pub restarts: u32,
    recent: VecDeque<u64>,
    /// Where it is called. Root's, so that callers keep it over a restart; as is the doorbell.
    pub endpoint: Cap<Endpoint>,
    /// Memory of the endpoint, which dies only when the partition stays down.
    endpoint_memory: Cap<Untyped>,
    /// Its CNode, while there is one.
    pub node: Option<Cap<CNode>>,
    /// Its capabilities to the endpoints of others.
    pub callees: Vec<Callee>,
    /// Its doorbell.
    pub doorbell: Cap<Notification>,
    /// The same, to ask whether it is alive.
    pub watch: Cap<Notification>,
    /// What its answers to that say.
    pub pulse: Pulse,
    /// Root's endpoint, by which its faults arrive.
    pub faults: Cap<Endpoint>,
    /// Interrupt lines, bound to the doorbell.
    pub interrupts: Vec<(u32, Cap<Interrupt>)>,
    /// Guest memory, for a VM: all of it is here and mapped.
    pub guest: Option<GuestMemory>,
    /// Page store.
    pub store: Frames,
    /// Its ring of log lines, if it may call the console. It outlives the partition, and the
    /// console.
    pub log: Frames,
    /// Memory of everything else that it has.
    pub pieces: Vec<(Cap<Untyped>, u8)>,
    /// Slots of root's to be emptied when it ends.
    pub slots: Vec<CPtr>,
    /// Its thread, while there is one.
    pub thread: Option<Cap<Thread>>,
    /// Its space, while there is one.
    pub space: Option<Cap<HostSpace>>,
    /// Place of the CPU that its thread runs on.
    pub cpu: usize,
    /// Slots of its CSpace for its ports, in the order of the manifest.
    pub port_slots: Vec<CPtr>,
    /// Guest memory that another instance has for now, wholly or in part.
    pub guest_away: Option<GuestMemory>,
    /// Of a VM that came from another instance: what is told of it there.
    pub arrival: Option<estate::Vm>,
    /// Whether the VMM that is built next takes its VM over from another instance.
    pub arrives: bool,
}

/// A capability that a partition has to the endpoint of another.
#[derive(Clone, Debug)]
pub struct Callee {
    /// Name of the other.
    pub name: String,
    /// Slot in the partition's CSpace.
    pub slot: CPtr,
    /// Its badge.
    pub badge: Badge,
}

/// Badge of the partition at this place of the manifest.
pub const fn badge(index: usize) -> Badge {
    index as Badge + 1
}

impl Partition {
    /// The partition at place `index`, with what root keeps for it, not started.
    pub fn new(
        estate: &mut Estate,
        spec: manifest::Partition,
        index: usize,
        root: Cap<Endpoint>,
    ) -> Result<Self> {
        let endpoint_memory = Cap::new(estate.make_own(ObjectType::Untyped, abi::PAGE_BITS)?);
        let endpoint = Cap::new(estate.make(endpoint_memory, ObjectType::Endpoint, abi::PAGE_BITS)?);
        let doorbell: Cap<Notification> =
            Cap::new(estate.make_own(ObjectType::Notification, abi::PAGE_BITS)?);
        let watch = Cap::new(estate.derive(doorbell.cptr(), Rights::WRITE, WATCH)?);
        let rights = Rights::WRITE.or(Rights::GRANT);
        let faults = Cap::new(estate.derive(root.cptr(), rights, badge(index))?);
        let logs = spec.calls.iter().chain(&spec.controls).any(|name| name == Console::NAME);
        let log = if logs { Frames::new(estate, log_ring::BYTES, layout::LOG)? } else { Frames::default() };
        Ok(Self {
            spec,
            state: ProcessState::Refused(String::from("not started yet")),
            restarts: 0,
            recent: VecDeque::new(),
            endpoint,
            endpoint_memory,
            node: None,
            callees: Vec::new(),
            doorbell,
            watch,
            pulse: Pulse::default(),
            faults,
            interrupts: Vec::new(),
            guest: None,
            store: Frames::default(),
            log,
            pieces: Vec::new(),
            slots: Vec::new(),
            thread: None,
            space: None,
            cpu: 0,
            port_slots: Vec::new(),
            guest_away: None,
            arrival: None,
            arrives: false,
        })
    }

    /// Takes its page store: what the manifest wants, or `most` if that is less.
    pub fn take_store(&mut self, estate: &mut Estate, most: u64) -> Result<u64> {
        let bytes = self.spec.store_bytes.min(most) & !(STORE_UNIT - 1);
        self.store = Frames::new(estate, bytes, layout::STORE)?;
        Ok(bytes)
    }

    /// Whether it keeps checkpoints of VMs.
    pub fn has_checkpoints(&self) -> bool {
        !self.spec.checkpoints.is_empty() && self.spec.store_bytes > 0
    }

    /// About how much memory it needs besides guest memory and store.
    pub fn needs(&self) -> u64 {
        self.spec.heap_bytes + self.spec.stack_bytes + OVERHEAD
    }

    /// Bytes set aside for it.
    pub fn memory_bytes(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|&(_, bits)| 1u64 << bits).sum();
        let guest = self.guest.iter().flat_map(|guest| guest.frames.iter());
        let store = self.store.iter().filter(|(frame, _)| frame.cptr() != 0);
        pieces + guest.chain(store).map(|(_, block)| block.size()).sum::<u64>()
    }

    /// Ends it: its thread, its space, its capabilities, its memory. What it shared with others is
    /// only unmapped here. Callers that it held hear that their reply is lost.
    pub fn tear_down(&mut self, estate: &mut Estate) -> Result<()> {
        if let Some(thread) = self.thread.take() {
            let _ = thread.suspend();
        }
        self.node = None;
        self.space = None;
        self.port_slots.clear();
        self.callees.clear();
        for (piece, _) in &self.pieces {
            estate.node.revoke(piece.cptr()).map_err(core("take back memory"))?;
        }
        for slot in self.slots.drain(..) {
            estate.discard(slot);
        }
        Ok(())
    }

    /// It stays down: whoever calls it, or waits for it already, shall hear so rather than wait.
    pub fn close(&mut self, estate: &mut Estate) -> Result<()> {
        if self.endpoint.cptr() == 0 {
            return Ok(());
        }
        estate.node.revoke(self.endpoint_memory.cptr()).map_err(core("close the endpoint"))?;
        estate.discard(self.endpoint.cptr());
        self.endpoint = Cap::new(0);
        Ok(())
    }

    /// Makes its endpoint again, if it was closed; says whether it was.
    pub fn open(&mut self, estate: &mut Estate) -> Result<bool> {
        let closed = self.endpoint.cptr() == 0;
        if closed {
            let endpoint = estate.make(self.endpoint_memory, ObjectType::Endpoint, abi::PAGE_BITS)?;
            self.endpoint = Cap::new(endpoint);
        }
        Ok(closed)
    }

    /// Whether it may be started anew now; counts it if so.
    pub fn may_restart(&mut self, now_ms: u64) -> bool {
        while self.recent.front().is_some_and(|&then| now_ms.saturating_sub(then) > RESTART_WINDOW_MS) {
            self.recent.pop_front();
        }
        if self.spec.restart == manifest::Restart::Never || self.recent.len() >= MAX_RESTARTS {
            return false;
        }
        self.recent.push_back(now_ms);
        true
    }
}
