// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bridge: the pages that both parties of a succession see.
//!
//! One frame with the ledger, the channels and the inventory, and one more for each VM: its
//! handover window. Who began the succession made them; to the other party they are boot modules.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use abi::CPtr;
use abi::object::ObjectType;
use abi::rights::Rights;
use api::estate::{BRIDGE_MODULE, INVENTORY_AT, Inventory, Range, Reply, WINDOWS_AT, bridge_bits};
use api::handover::WINDOW_BITS;
use rt::cap::{Frame, Untyped};
use rt::{Cap, layout, scratch};

use super::{Course, course};
use crate::estate::Estate;
use crate::failure::{Failure, Result, core};
use crate::modules;
use crate::system::System;

/// Most bytes of an inventory.
const INVENTORY_MAX: u64 = WINDOWS_AT - INVENTORY_AT - 8;
/// Highest address of a bridge: multiboot2 information names modules below 4 GiB.
pub const LIMIT: u64 = 1 << 32;

/// The bridge.
pub struct Bridge {
    /// What it was made of; `None` to the party that found it.
    untyped: Option<(Cap<Untyped>, u8)>,
    /// The frame with the ledger, then those of the VMs.
    frames: Vec<Cap<Frame>>,
    /// Where it lies.
    pub range: Range,
}

impl Bridge {
    /// A bridge for this many VMs, below 4 GiB, cleared.
    pub fn new(estate: &mut Estate, vms: usize) -> Result<Self> {
        let bits = bridge_bits(vms as u64);
        let untyped = estate.untyped_below(bits, LIMIT)?;
        let base = untyped.describe().map_err(core("describe the bridge"))?.base;
        let mut bridge = Self {
            untyped: Some((untyped, bits)),
            frames: Vec::new(),
            range: Range { base, bytes: 1 << bits },
        };
        for _ in 0..=vms {
            match estate.make(untyped, ObjectType::Frame, WINDOW_BITS) {
                Ok(frame) => bridge.frames.push(Cap::new(frame)),
                Err(failure) => {
                    bridge.end(estate);
                    return Err(failure);
                }
            }
        }
        Ok(bridge)
    }

    /// Nobody has it mapped any more; memory that it was made of is free again.
    pub fn end(&self, estate: &mut Estate) {
        for frame in &self.frames {
            let _ = estate.node.revoke(frame.cptr());
        }
        if let Some((untyped, bits)) = self.untyped {
            let _ = estate.node.revoke(untyped.cptr());
            self.frames.iter().for_each(|frame| estate.forget(frame.cptr()));
            estate.add(untyped, root::block::Block { address: self.range.base, bits });
        }
    }

    /// The frame with the ledger.
    pub fn head(&self) -> Cap<Frame> {
        self.frames.first().copied().unwrap_or(Cap::new(0))
    }

    /// The handover window of a VM.
    pub fn window(&self, vm: u8) -> Option<Cap<Frame>> {
        self.frames.get(usize::from(vm) + 1).copied()
    }

    /// Writes the inventory where the other party finds it.
    pub fn write_inventory(&self, inventory: &Inventory) -> Result<()> {
        // What the other party would refuse does not begin.
        let checked = inventory.check();
        checked.map_err(|what| Failure::new(format!("the machine has {what}")))?;
        let encoded =
            postcard::to_allocvec(inventory).map_err(|_| Failure::new("cannot encode the inventory"))?;
        if encoded.len() as u64 > INVENTORY_MAX {
            return Err(Failure::new("the machine has more pieces than the bridge has room to name"));
        }
        let mut bytes = (encoded.len() as u64).to_le_bytes().to_vec();
        bytes.extend(encoded);
        scratch::write_shared(self.head(), INVENTORY_AT, &bytes).map_err(core("write the inventory"))
    }

    fn read_inventory(&self) -> Result<Inventory> {
        let read = core("read the inventory");
        let mut length = [0; 8];
        scratch::read_shared(self.head(), INVENTORY_AT, &mut length).map_err(&read)?;
        let length = u64::from_le_bytes(length).min(INVENTORY_MAX);
        let mut bytes = vec![0; length as usize];
        scratch::read_shared(self.head(), INVENTORY_AT + 8, &mut bytes).map_err(&read)?;
        let inventory: Inventory = postcard::from_bytes(&bytes)
            .map_err(|_| Failure::new("the inventory in the bridge makes no sense"))?;
        let checked = inventory.check();
        checked.map_err(|what| Failure::new(format!("the inventory in the bridge has {what}")))?;
        Ok(inventory)
    }

    /// Maps one of its frames into a space, by a capability that goes with the partition.
    pub fn map(system: &mut System, frame: Cap<Frame>, index: usize, address: u64) -> Result<CPtr> {
        let System { estate, partitions, .. } = system;
        let partition = &mut partitions[index];
        let space = partition.space.ok_or_else(|| Failure::new("the service does not run"))?;
        let rights = Rights::READ.or(Rights::WRITE);
        let copy = estate.derive(frame.cptr(), rights, 0)?;
        match Cap::<Frame>::new(copy).map(space, address, rights) {
            Ok(()) => partition.slots.push(copy),
            // Mapped already, at an earlier time.
            Err(rt::Error::AlreadyMapped) => estate.discard(copy),
            Err(error) => {
                estate.discard(copy);
                return Err(core("map the bridge")(error));
            }
        }
        Ok(copy)
    }
}

/// Maps the bridge into the succession service.
pub fn open(system: &mut System, caller: usize) -> Result<Reply> {
    let course = course(system)?;
    let (head, first) = (course.bridge.head(), course.first);
    Bridge::map(system, head, caller, layout::BRIDGE)?;
    Ok(Reply::Open { first })
}

/// The frames of the bridge among the boot modules: each is one frame.
fn found(system: &System) -> Result<Option<Bridge>> {
    let Ok(first) = modules::find(system.boot, BRIDGE_MODULE) else { return Ok(None) };
    let mut bridge = Bridge { untyped: None, frames: Vec::new(), range: Range::default() };
    bridge.range = Range { base: first.base, bytes: first.size };
    for number in 0.. {
        let name = if number == 0 { BRIDGE_MODULE.into() } else { format!("{BRIDGE_MODULE}.{number}") };
        let Ok(module) = modules::find(system.boot, &name) else { break };
        if module.slots != 1 || module.size != 1 << WINDOW_BITS {
            return Err(Failure::new("the bridge is not as it should be"));
        }
        bridge.frames.push(Cap::new(module.first_slot));
        bridge.range.bytes = module.base + module.size - bridge.range.base;
    }
    Ok(Some(bridge))
}

impl Course {
    /// The succession in which this instance was started, if it was.
    pub fn joined(system: &mut System) -> Result<Option<Self>> {
        let Some(bridge) = found(system)? else { return Ok(None) };
        let inventory = bridge.read_inventory()?;
        let blocks = inventory.extents.iter().map(|_| Vec::new()).collect();
        let lines = inventory.lines.iter().map(|_| false).collect();
        system.generation = inventory.generation.saturating_add(1);
        system.secret = inventory.secret;
        Ok(Some(Self { inventory, first: false, bridge, carve: None, blocks, lines }))
    }
}

const _: () = assert!(WINDOWS_AT == 1 << WINDOW_BITS);
