// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a VM when a party has fallen: what the ledger must name in every world, whoever
//! falls there.

use succession::{Party, Resource, Table, may_seize};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the survivor's: it runs on, or runs again.
    Keep,
    /// The survivor takes it over.
    TakeOver,
    /// It stays stopped; this party can recover it.
    Stopped(Party),
}

/// What becomes of a VM when only this party is left. `None`: there is no such VM.
pub fn fate(survivor: Party, table: &impl Table, vm: u8) -> Option<Fate> {
    let owner = table.owner(Resource::Vm(vm))?;
    let course = table.course()?;
    Some(match owner == survivor {
        true => Fate::Keep,
        false if may_seize(survivor, course) => Fate::TakeOver,
        false => Fate::Stopped(owner),
    })
}
