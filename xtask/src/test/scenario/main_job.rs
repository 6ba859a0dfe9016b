// SPDX-License-Identifier: MIT OR Apache-2.0
//! The demo of checkpoints as a test.

use super::system::{LONGEST_GAP_US, boot};
use crate::demo;
use crate::evidence::NO_BEAT_MISSED;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use std::path::Path;

/// Plays it; what the guests say must be as the demo promises.
pub fn play(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let report = demo::checkpoint::play(boot(machine, iso, log)?, &|_| {})?;
    // Beats are counted by time, and another machine may run on the same host: here the limit is
    // the one of `undisturbed`.
    let late = report.values["other_vm_max_gap_us"].as_u64().is_none_or(|gap| gap > LONGEST_GAP_US);
    let broken: Vec<&String> = report.broken.iter().filter(|what| late || *what != NO_BEAT_MISSED).collect();
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{broken:?}\n{:#}", report.values)
}
