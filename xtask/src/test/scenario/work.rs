// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that notice for themselves when something is wrong, and find nothing: a Linux that works
//! on all of its vCPUs, and one that watches the time.

use super::checkpoints::{create, restore};
use super::{boot_system, undisturbed};
use crate::evidence::{Round, Tick, Ticks};
use crate::live::Live;
use crate::operator::VmConsole;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use std::path::Path;

const LINUX: &str = "linux";
const TICK: &str = "tick";
/// Rounds that have to go well in a row.
const ROUNDS: u64 = 10;
/// Lines of the guest `tick`.
const COUNTS: u64 = 20;

/// Linux works on two vCPUs.
pub fn on_2_vcpus(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    works(boot_system("smp-2", machine, iso, log)?, 2)
}

/// Linux works on four vCPUs.
pub fn on_4_vcpus(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    works(boot_system("smp-4", machine, iso, log)?, 4)
}

/// All CPUs come online and work; so they do after a checkpoint, and after going back to it.
fn works(mut live: Live, cpus: u64) -> Result<()> {
    let mut guest = VmConsole::of(LINUX);
    let before = live.beat_after(0)?;
    live.wait_guest(&mut guest, &format!("guest: cpus {cpus} "))?;
    let first = rounds_after(&mut live, &mut guest, 0, cpus)?;
    let id = create(&mut live, LINUX)?;
    let later = rounds_after(&mut live, &mut guest, first, cpus)?;
    restore(&mut live, LINUX, id)?;
    let again = round_before(&mut live, &mut guest, later, cpus)?;
    rounds_after(&mut live, &mut guest, again, cpus)?;
    undisturbed(&mut live, before)
}

/// The guests of the demonstration of succession, left alone: none has anything to complain of.
pub fn guests_of_succession(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot_system("succession", machine, iso, log)?;
    let before = live.beat_after(0)?;
    let (mut linux, mut tick) = (VmConsole::of(LINUX), VmConsole::of(TICK));
    let first = counts_after(&mut live, &mut tick, 0)?;
    rounds_after(&mut live, &mut linux, 0, 2)?;
    let last = counts_after(&mut live, &mut tick, first.count)?;
    if last.khz.abs_diff(live.tsc_khz()?) > 1 || last.largest_gap_ticks < last.recent_gap_ticks {
        bail!("the guest measures wrongly: {last:?}");
    }
    undisturbed(&mut live, before)
}

/// Waits until a number of rounds have gone well on all CPUs after round `round`; the number of the
/// last one.
fn rounds_after(live: &mut Live, guest: &mut VmConsole, round: u64, cpus: u64) -> Result<u64> {
    loop {
        let next = next_round(live, guest, cpus)?;
        if next >= round + ROUNDS {
            return Ok(next);
        }
    }
}

/// Follows the guest's rounds until one comes before the one that it follows: the guest has gone
/// back, to before `round`.
fn round_before(live: &mut Live, guest: &mut VmConsole, round: u64, cpus: u64) -> Result<u64> {
    let mut last = round;
    loop {
        let next = next_round(live, guest, cpus)?;
        guest.is_whole()?;
        if next < last {
            return if next < round { Ok(next) } else { bail!("round {next} after {last}, made at {round}") };
        }
        last = next;
    }
}

fn next_round(live: &mut Live, guest: &mut VmConsole, cpus: u64) -> Result<u64> {
    loop {
        let line = live.wait_guest(guest, "workload: ")?;
        match Round::parse(&line) {
            Some(Round::Well { round, cpus: used, .. }) if used == cpus => return Ok(round),
            None => {}
            Some(other) => bail!("the guest's work: {other:?}"),
        }
    }
}

/// Waits until the guest has printed a number of lines after number `count`; the last one.
fn counts_after(live: &mut Live, guest: &mut VmConsole, count: u64) -> Result<Ticks> {
    loop {
        let line = live.wait_guest(guest, "tick: ")?;
        match Tick::parse(&line) {
            Some(Tick::Count(ticks)) if ticks.count >= count + COUNTS => return Ok(ticks),
            Some(Tick::Wrong(what)) => bail!("the guest's time: {what}"),
            _ => {}
        }
    }
}
