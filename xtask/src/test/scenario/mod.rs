// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot tests with a plan of their own: they boot the default system and talk to it by the operator's line.

mod checkpoints;
mod line;
mod restart;

use super::table::Script;
use crate::demo;
use crate::live::Live;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use std::path::Path;

/// All of them, with their names.
pub const SCENARIOS: &[(&str, Script)] = &[
    ("main-job", main_job),
    ("restart-console", restart::console),
    ("restart-operator", restart::operator),
    ("restart-checkpoint", restart::checkpoint),
    ("operator-line-garbage", line::garbage),
    ("operator-line-truncated", line::truncated),
    ("operator-line-wrong-secret", line::wrong_secret),
    ("operator-line-flood", line::flood),
    ("checkpoints-in-any-order", checkpoints::in_any_order),
    ("checkpoints-quota", checkpoints::quota),
    ("vm-pause-stop-start", checkpoints::pause_stop_start),
];

/// A booted system for a scenario; its socket lies beside the log.
fn boot(machine: &Machine, iso: &Path, log: &Path) -> Result<Live> {
    let folder = log.with_extension("run");
    Live::boot(machine.clone(), iso, log, &folder, false)
}

fn main_job(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let report = demo::checkpoint::play(boot(machine, iso, log)?, &|_| {})?;
    if report.broken.is_empty() {
        return Ok(());
    }
    bail!("{}\n{:#}", report.broken.join("; "), report.values)
}

/// No beat was missed while something else happened; that is what "nothing else" means in these tests.
fn undisturbed(live: &mut Live, before: crate::evidence::Beat) -> Result<()> {
    let after = live.beat_after(before.beat)?;
    if after.missed > before.missed {
        bail!("the heartbeat was disturbed: {before:?}, then {after:?}");
    }
    Ok(())
}
