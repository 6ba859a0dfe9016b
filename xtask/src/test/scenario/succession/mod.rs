// SPDX-License-Identifier: MIT OR Apache-2.0
//! Successions on running machines: there and back, again and again.

pub mod breaks;
pub mod checkpoints;
pub mod circumstances;
pub mod estates;
pub mod stops;

use super::{boot_system, undisturbed};
use crate::image::successor::{self, FIRST, NEXT};
use crate::live::{HEARTBEAT, Live};
use crate::qemu::Machine;
use crate::succession;
use anyhow::{Context, Result, bail, ensure};
use api::root::Inventory;
use api::succession::{Fault, Phase, Reply, Request};
use api::vmm;
use std::path::Path;
use std::time::Duration;

/// The smallest system with a VM.
const SMALL: &str = "succession-small";
/// Memory of the machine that it runs on.
const MEMORY_MIB: u32 = 512;
/// Actions of an incumbent that has decided to leave, and one more: no crash among them brings it
/// back, and nobody is left to ask whether there was one.
const TAIL: u32 = 6;
/// Time limit of one of the two.
const CAMPAIGN: Duration = Duration::from_secs(2400);

/// The images of the two versions, for the system of a manifest.
pub struct Images {
    next: Vec<u8>,
    first: Vec<u8>,
}

impl Images {
    /// Builds them.
    pub fn of(system: &str) -> Result<Images> {
        Ok(Images { next: successor::bytes(NEXT, system)?, first: successor::bytes(FIRST, system)? })
    }
}

/// One succession to the next version, one back to the first; the machine is then as before.
fn there_and_back(live: &mut Live, images: &Images) -> Result<()> {
    let before = succession::inventory(live)?;
    succession::succeed(live, &images.next, NEXT, &|_| {}).context("to the next version")?;
    same_machine(&before, &succession::inventory(live)?)?;
    succession::succeed(live, &images.first, FIRST, &|_| {}).context("back to the first version")?;
    same_machine(&before, &succession::inventory(live)?)
}

fn same_machine(before: &Inventory, after: &Inventory) -> Result<()> {
    if !succession::is_same_machine(before, after) {
        bail!("the machine was {before:?}, and is {after:?}");
    }
    Ok(())
}

/// CPUs, memory and lines change hands on a machine that runs no VM.
pub fn without_vms(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let images = Images::of("succession-bare")?;
    let mut live = boot_system("succession-bare", machine, iso, log)?;
    live.wait_line("root: ready")?;
    there_and_back(&mut live, &images)
}

/// Successions on one boot, one after the other, under a VM that counts its beats: nothing is lost
/// from one to the next.
pub fn ten_in_a_row(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    in_a_row(10, machine, iso, log)
}

/// The same for long.
pub fn hundred_in_a_row(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    in_a_row(100, machine, iso, log)
}

fn in_a_row(successions: u32, machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(3, machine, iso, log)?;
    live.allow(CAMPAIGN);
    let first = live.beat_after(0)?;
    let mut free = [0; 2];
    for round in 0..successions / 2 {
        there_and_back(&mut live, &images).with_context(|| format!("round {round}"))?;
        let now = succession::inventory(&mut live)?.free_bytes;
        // The first round changes what lies where; from then on every round leaves as much as the
        // one before.
        if round > 1 && now != free[1] {
            bail!("free memory: {free:?}, then {now}");
        }
        free = [free[1], now];
    }
    undisturbed(&mut live, first)
}

/// The small system on a machine with so many CPUs, and its images.
fn small_on(cpus: u32, machine: &Machine, iso: &Path, log: &Path) -> Result<(Images, Live)> {
    small_of(SMALL, cpus, machine, iso, log)
}

/// The same with another system.
fn small_of(
    system: &'static str,
    cpus: u32,
    machine: &Machine,
    iso: &Path,
    log: &Path,
) -> Result<(Images, Live)> {
    let images = Images::of(system)?;
    let machine = Machine { cpus, memory_mib: MEMORY_MIB, ..machine.clone() };
    let mut live = boot_system(system, &machine, iso, log)?;
    live.wait_line("root: ready")?;
    Ok((images, live))
}

/// A succession that is given up when the incumbent could leave; the version that has everything
/// again.
fn give_up(live: &mut Live, images: &Images) -> Result<String> {
    let from = succession::stand_by(live, &images.next, NEXT, &|_| {})?;
    abort(live, &from)?;
    Ok(from)
}

/// Gives the succession up that goes on; waits until the version `from`, which began it, has
/// everything again.
fn abort(live: &mut Live, from: &str) -> Result<()> {
    let reply = succession::ask_patiently(live, &Request::Abort)?;
    ensure!(reply == Reply::Done, "abort: {reply:?}");
    live.wait("everything is back", |live| {
        let status = succession::status(live)?;
        Ok((status.phase == Phase::Quiet && status.version == from).then_some(()))
    })
}

/// A VM whose state was lost starts anew.
fn start_anew(live: &mut Live) -> Result<()> {
    let started = succession::ask_vm_patiently(live, HEARTBEAT, &vmm::Request::Start)?;
    ensure!(started == vmm::Reply::Done, "the VM does not start anew: {started:?}");
    Ok(())
}

/// The incumbent's service stops as by a bug before each of its actions, one succession after the
/// other.
pub fn incumbent_crashes(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    crashes(machine, iso, log, false)
}

/// The same with the successor's.
pub fn successor_crashes(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    crashes(machine, iso, log, true)
}

/// The version that follows on `here`.
fn other<'a>(images: &'a Images, here: &str) -> (&'a [u8], &'static str) {
    if here == FIRST { (&images.next, NEXT) } else { (&images.first, FIRST) }
}

/// After each crash one of the two has everything, the VM beats on, and a new succession succeeds.
/// Ends when a succession has fewer actions than the number of the one to stop before.
fn crashes(machine: &Machine, iso: &Path, log: &Path, successor: bool) -> Result<()> {
    let (images, mut live) = small_on(2, machine, iso, log)?;
    live.allow(CAMPAIGN);
    let inventory = succession::inventory(&mut live)?;
    let mut here = FIRST.to_owned();
    let (mut tail, mut back, mut forward) = (TAIL, 0, 0);
    for action in 0.. {
        let beat = live.beat_after(0)?;
        let (image, version) = other(&images, &here);
        let fault = Request::Fault(Fault { successor, action, all: false });
        let what = || format!("crash before action {action}, from {here} to {version}");
        succession::expect(&mut live, fault).with_context(what)?;
        succession::begin(&mut live, image, version, &|_| {}).with_context(what)?;
        let end = succession::to_the_end(&mut live).with_context(what)?;
        live.beat_after(beat.beat + 1).with_context(what)?;
        same_machine(&inventory, &succession::inventory(&mut live)?).with_context(what)?;
        let restarts = live.process("succession")?.restarts;
        if end == here {
            back += 1;
        } else {
            forward += 1;
            if restarts == 0 {
                tail -= 1;
            }
        }
        here = end;
        let (image, version) = other(&images, &here);
        succession::succeed(&mut live, image, version, &|_| {})
            .with_context(|| format!("the succession after the crash before action {action}"))?;
        here = version.to_owned();
        live.beat_after(beat.beat + 2)?;
        if tail == 0 {
            break;
        }
    }
    if back < 10 || forward < TAIL {
        bail!("{back} successions went back and {forward} on: the faults were not injected");
    }
    Ok(())
}
