// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a VM when a party has fallen, said from the ledger alone.
//!
//! A survivor takes over what the fallen party owned if both had agreed on versions; the incumbent always may, for it
//! wrote everything that there is. A successor that falls upon an incumbent's fall before they agreed leaves the VMs
//! as they are: stopped, and recoverable by the owner that their words name, after it is started anew.

use crate::{Course, Party, Phase, Table};

/// What becomes of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is the survivor's: it runs on, or runs again.
    Keep,
    /// The survivor takes it over.
    TakeOver,
    /// It stays stopped; this party can recover it.
    Stopped(Party),
}

/// Whether the survivor may take over what the other owned.
#[must_use]
pub fn may_seize(survivor: Party, course: Course) -> bool {
    match course.phase {
        Phase::Greeted | Phase::Back | Phase::Retired => true,
        Phase::Quiet | Phase::Carving | Phase::Launched | Phase::Cancelled => survivor == course.incumbent,
    }
}

/// What becomes of a VM when only this party is left. `None`: there is no such VM.
pub fn fate(survivor: Party, table: &impl Table, vm: u8) -> Option<Fate> {
    let owner = table.owner(crate::Resource::Vm(vm))?;
    let course = table.course()?;
    Some(match owner == survivor {
        true => Fate::Keep,
        false if may_seize(survivor, course) => Fate::TakeOver,
        false => Fate::Stopped(owner),
    })
}
