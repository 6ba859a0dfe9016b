// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scenarios begin and end with: a booted system, and a heartbeat that nobody disturbed.

use crate::evidence::Beat;
use crate::live::{HEARTBEAT, Live};
use crate::qemu::{Machine, System};
use anyhow::{Result, bail};
use std::path::Path;

/// A booted system for a scenario; its socket lies beside the log.
pub fn boot(machine: &Machine, iso: &Path, log: &Path) -> Result<Live> {
    let folder = log.with_extension("run");
    Live::boot(machine.clone(), iso, log, &folder, false)
}

/// The same with the system of `tests/manifests/NAME.toml`.
pub fn boot_system(name: &'static str, machine: &Machine, iso: &Path, log: &Path) -> Result<Live> {
    boot(&Machine { system: System::Named(name), ..machine.clone() }, iso, log)
}

/// Longest time that the heartbeat may be kept waiting. The guest's own limit is shorter, and held
/// by the demo; but tests run several machines on one host, which keeps them all waiting now and
/// then.
pub const LONGEST_GAP_US: u64 = 5_000_000;

/// The heartbeat goes on, in the VM that it began in.
pub fn undisturbed(live: &mut Live, before: Beat) -> Result<()> {
    let after = live.beat_after(before.beat)?;
    let restarts = live.process(HEARTBEAT)?.restarts;
    if restarts > 0 || (after.max_gap_us > LONGEST_GAP_US && before.max_gap_us <= LONGEST_GAP_US) {
        bail!("the heartbeat was disturbed: {before:?}, then {after:?}, started anew {restarts} times");
    }
    Ok(())
}
