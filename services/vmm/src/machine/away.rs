// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine keeps of its way from one hypervisor to another.
//!
//! Owns where the machine is, the base of a change, and what each handover took. The way itself is
//! [`crate::handover`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use api::handover::{Header, MAX_VCPUS};

/// Why other requests are refused meanwhile.
pub(crate) const MOVING: &str = "the VM changes its hypervisor, or has changed it";
/// Where the machine is: its devices, and the state of its vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here, though some of its vCPUs may be stopped.
    Here,
    /// Here too, but its state lies under this header in the window for another hypervisor.
    Packed(Header),
    /// Not here yet.
    Arriving,
}

/// What the machine keeps of handovers.
#[derive(Debug)]
pub(crate) struct Handover {
    pub place: Place,
    /// Whether the checkpoint service does not know yet that the VM has come.
    pub unknown: bool,
    /// Host TSC of each vCPU's last exit, of those that were stopped.
    pub exits: [u64; MAX_VCPUS],
    pub blackouts: Vec<u64>,
    /// The vCPUs whose blackouts have not been logged, a bit each.
    pub unreported: u32,
    /// The base of a change, written or read in `handover/prepare.rs`.
    pub base: Base,
    /// The typed state as a record. This and its bytes are kept, so that their room is there before
    /// it is needed.
    pub record: Option<Box<state::Machine>>,
    pub bytes: Vec<u8>,
}

impl Handover {
    /// Of a machine with so many vCPUs, which is here.
    pub fn new(vcpus: usize) -> Self {
        Self {
            place: Place::Here,
            unknown: false,
            exits: [0; MAX_VCPUS],
            blackouts: Vec::with_capacity(vcpus),
            unreported: 0,
            base: Base::default(),
            record: None,
            bytes: Vec::with_capacity(state::Machine::room(vcpus)),
        }
    }

    /// Returns whether no vCPU of the machine runs here, nor its devices.
    pub fn is_away(&self) -> bool {
        self.place != Place::Here
    }

    /// For each vCPU, what its last handover took; empty before the first.
    pub fn blackouts(&self) -> &[u64] {
        &self.blackouts
    }

    /// A vCPU goes on, so many ticks after its last exit.
    pub fn record(&mut self, cpu: usize, ticks: u64) {
        if cpu >= self.blackouts.len() {
            self.blackouts.resize(cpu + 1, 0);
        }
        if let Some(place) = self.blackouts.get_mut(cpu) {
            *place = ticks;
        }
        self.unreported |= 1_u32.checked_shl(cpu as u32).unwrap_or(0);
    }
}

/// A machine's state from which a change leads to a later one.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Host TSC as of which it holds; 0 where there is none.
    pub tsc: u64,
    /// The state. What is here without a base is room to be used again.
    pub record: Option<Box<state::Machine>>,
}

impl Base {
    /// The state, which is no base any more.
    pub fn take(&mut self) -> Box<state::Machine> {
        self.tsc = 0;
        self.record.take().unwrap_or_default()
    }

    /// Keeps the room of a state.
    pub fn put_back(&mut self, record: Box<state::Machine>) {
        self.record = Some(record);
    }

    /// The state, if it is the base of this host TSC.
    pub fn get(&self, tsc: u64) -> Option<&state::Machine> {
        self.record.as_deref().filter(|_| tsc != 0 && self.tsc == tsc)
    }
}
