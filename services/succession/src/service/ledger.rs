// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger in the bridge: written for the inventory beside it, or opened where the other party
//! wrote it.
//!
//! Owns what the inventory's pieces are in the ledger: their numbers, which are their places in its
//! lists; what is whose home; what is bound to a VM. Who changes a word and when is the protocol's
//! to say.

use alloc::format;
use alloc::string::{String, ToString};

use api::estate::{Inventory, LEDGER_AT, Use};
use succession::{Party, Resource, Shape, SharedLedger, State, Table, Word};

use super::bridge::words;

/// Writes the ledger of a succession that begins here.
pub fn create(inventory: &Inventory) -> Result<SharedLedger<'static>, String> {
    let made = SharedLedger::create(words(LEDGER_AT)?, shape(inventory)?, Party::First);
    let mut ledger = made.map_err(|error| format!("the ledger: {error:?}"))?;
    enter(&mut ledger, inventory)?;
    Ok(ledger)
}

/// The ledger of a succession that there is.
pub fn open(inventory: &Inventory) -> Result<SharedLedger<'static>, String> {
    let opened = SharedLedger::open(words(LEDGER_AT)?);
    let ledger = opened.map_err(|error| format!("the ledger: {error:?}"))?;
    if ledger.shape() != shape(inventory)? {
        return Err("ledger and inventory speak of different machines".into());
    }
    Ok(ledger)
}

/// Everything that the inventory has, owned by the party that writes it.
fn enter(ledger: &mut SharedLedger<'_>, inventory: &Inventory) -> Result<(), String> {
    let me = Party::First;
    let mut enter = |resource, state, home| {
        let word = Word { owner: me, state, home, generation: 0 };
        ledger.enter(resource, word).map_err(|error| format!("the ledger: {error:?}"))
    };
    for (number, &id) in (0..).zip(&inventory.cpus) {
        let second = (id == inventory.second_cpu).then_some(Party::Second);
        let home = second.or((id == inventory.first_cpu).then_some(Party::First));
        enter(Resource::Cpu(number), State::Held, home)?;
    }
    for (number, extent) in (0..).zip(&inventory.extents) {
        let (state, home) = match extent.used {
            Use::First => (State::Held, Some(Party::First)),
            Use::Second => (State::Held, Some(Party::Second)),
            Use::Free | Use::Store(_) => (State::Held, None),
            Use::Vm(vm) => (State::Bound(vm), None),
        };
        enter(Resource::Extent(number), state, home)?;
    }
    for number in 0..inventory.lines.len() as u8 {
        enter(Resource::Line(number), State::Held, None)?;
    }
    for (number, vm) in (0..).zip(&inventory.vms) {
        enter(Resource::Vm(number), State::Held, None)?;
        for vcpu in 0..vm.vcpus as u8 {
            enter(Resource::Vcpu(number, vcpu), State::Held, None)?;
        }
    }
    Ok(())
}

/// How many there are of each kind.
fn shape(inventory: &Inventory) -> Result<Shape, String> {
    let count =
        |length: usize| u8::try_from(length).map_err(|_| "the machine has too many pieces".to_string());
    let shape = Shape {
        vms: count(inventory.vms.len())?,
        vcpus: inventory.vms.iter().map(|vm| vm.vcpus as u8).max().unwrap_or(0),
        lines: count(inventory.lines.len())?,
        cpus: count(inventory.cpus.len())?,
        extents: count(inventory.extents.len())?,
    };
    if shape.fits() {
        Ok(shape)
    } else {
        Err("the machine has more pieces than a ledger has room for".into())
    }
}
