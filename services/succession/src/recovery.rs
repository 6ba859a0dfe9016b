// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a survivor may take over when the other party has fallen, said from the ledger alone. What
//! it may not stays stopped and its owner's, who can recover it after a restart. The taking is done
//! in `take.rs`.

use crate::{Course, Party, Phase};

/// Whether the survivor may take over what the other owned: if both had agreed on versions; the
/// incumbent always, for it wrote everything that there is.
#[must_use]
pub fn may_seize(survivor: Party, course: Course) -> bool {
    match course.phase {
        Phase::Greeted | Phase::Back | Phase::Retired => true,
        Phase::Quiet | Phase::Carving | Phase::Launched | Phase::Cancelled => survivor == course.incumbent,
    }
}
