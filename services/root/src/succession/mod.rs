// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving up and taking in pieces of the machine, at the word of the succession service.
//!
//! Owns what root knows of a succession under way ([`Course`]) and who may ask. Beginning and
//! ending are in `carve`, single resources in `give`, `take` and `store`, the shared pages in
//! `bridge`. Whose a resource is at any moment is not root's to decide: the service asks for one
//! step after the other, as the protocol has it.

mod bridge;
mod carve;
mod give;
mod store;
mod take;

use alloc::vec::Vec;

use abi::CPtr;
use api::estate::{Inventory, Item, Reply, Request, Use};
use api::{Badge, CONTROL};
use root::block::Block;
use rt::Cap;
use rt::cap::{Frame, Untyped};

use crate::failure::{Failure, Result};
use crate::system::System;

pub use bridge::Bridge;

/// Memory and a CPU that were set aside for the other party's start.
pub struct CarveOut {
    /// What the memory was made of.
    untyped: Cap<Untyped>,
    /// The memory; 0 once it is launched.
    frame: Cap<Frame>,
    /// Where it lies.
    block: Block,
    /// The copy that the service has mapped.
    mapped: CPtr,
}

/// A succession as root sees it.
pub struct Course {
    /// Everything that changes owner.
    pub inventory: Inventory,
    /// Whether this is the party that began it.
    pub first: bool,
    bridge: Bridge,
    carve: Option<CarveOut>,
    /// For each extent of free memory, its blocks; a capability of 0 is one that is not here.
    blocks: Vec<Vec<(CPtr, Block)>>,
    /// For each line, whether it is here.
    lines: Vec<bool>,
}

impl Course {
    /// Whether the ports and interrupts of a service are here.
    pub fn has_line(&self, service: &str) -> bool {
        let lines = self.inventory.lines.iter().zip(&self.lines);
        lines.into_iter().all(|(line, here)| line.service != service || *here)
    }

    fn extent(&self, number: u8) -> Result<Use> {
        let extent = self.inventory.extents.get(usize::from(number));
        extent.map(|extent| extent.used).ok_or_else(|| Failure::new("there is no such extent"))
    }
}

/// The succession that there has to be.
fn course(system: &mut System) -> Result<&mut Course> {
    system.succession.as_mut().ok_or_else(|| Failure::new("there is no succession"))
}

/// Answers the succession service.
pub fn answer(system: &mut System, badge: Badge, request: Request) -> Reply {
    let caller = usize::try_from(badge & !CONTROL).ok().and_then(|badge| badge.checked_sub(1));
    let allowed = |index: &usize| system.partitions.get(*index).is_some_and(|caller| caller.spec.succession);
    let Some(caller) = caller.filter(|_| badge & CONTROL != 0).filter(allowed) else { return Reply::Denied };
    let done = match request {
        Request::Examine(bytes) => carve::examine(system, bytes),
        Request::Carve(bytes) => carve::carve(system, caller, bytes),
        Request::Bridge => bridge::open(system, caller),
        Request::Launch { entry, information } => {
            carve::launch(system, entry, information).map(|()| Reply::Done)
        }
        Request::Release { item, last_word } => release(system, item, last_word).map(|()| Reply::Done),
        Request::Adopt(item) => adopt(system, item).map(|()| Reply::Done),
        Request::Build(vm) => take::build(system, vm).map(|()| Reply::Done),
        Request::Open(vm) => take::open(system, vm).map(|()| Reply::Done),
        Request::Arrived(vm) => take::arrived(system, vm).map(|()| Reply::Done),
        Request::Forget(vm) => give::forget(system, vm).map(|()| Reply::Done),
        Request::Fence => give::fence(system).map(|()| Reply::Done),
        Request::Stop if cfg!(feature = "fault-injection") => give::stop(system).map(|()| Reply::Done),
        Request::Stop => Err(Failure::new("only a build for tests stops a hypervisor")),
        Request::Settle => carve::settle(system).map(|()| Reply::Done),
    };
    done.unwrap_or_else(|Failure(reason)| Reply::Refused(reason))
}

fn release(system: &mut System, item: Item, last_word: Option<(u64, u64)>) -> Result<()> {
    match item {
        Item::Cpu(number) => give::cpu(system, number, last_word),
        Item::Extent(number) => give::extent(system, number),
        Item::Line(number) => give::line(system, number),
    }
}

fn adopt(system: &mut System, item: Item) -> Result<()> {
    match item {
        Item::Cpu(number) => take::cpu(system, number),
        Item::Extent(number) => take::extent(system, number),
        Item::Line(number) => take::line(system, number),
    }
}
