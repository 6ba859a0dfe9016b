// SPDX-License-Identifier: MIT OR Apache-2.0
//! Successions on other machines, with VMs that do not run, without an operator, with images that
//! are none, and given up.

use super::{Images, abort, give_up, other, same_machine, small_on, start_anew, there_and_back};
use crate::image::successor::{FIRST, NEXT};
use crate::live::{HEARTBEAT, Live};
use crate::qemu::Machine;
use crate::succession;
use crate::test::scenario::boot_system;
use crate::test::scenario::restart::anew;
use anyhow::{Context, Result, bail, ensure};
use api::root;
use api::succession::{Phase, Plan, Reply, Request};
use api::vmm::{self, State};
use std::path::Path;
use std::time::Duration;

/// The system with VMs that do not run.
const STATES: &str = "succession-states";

/// Two CPUs: one for each of the two at first.
pub fn on_two_cpus(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(2, machine, iso, log)?;
    there_and_back(&mut live, &images)?;
    beats(&mut live)
}

/// Eight CPUs.
pub fn on_eight_cpus(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(8, machine, iso, log)?;
    there_and_back(&mut live, &images)?;
    beats(&mut live)
}

/// With one CPU there is none for a second hypervisor: the plan says so, and nothing begins.
pub fn on_one_cpu(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(1, machine, iso, log)?;
    succession::stage(&mut live, &images.next)?;
    hindered(&mut live, "one CPU")?;
    beats(&mut live)
}

/// Paused and failed VMs move as they are; a paused one goes on when it is told to.
pub fn with_vms_that_do_not_run(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let images = Images::of(STATES)?;
    let mut live = boot_system(STATES, machine, iso, log)?;
    live.wait_line("root: ready")?;
    let before = live.beat_after(3)?;
    expect_vm(&mut live, "heartbeat", vmm::Request::Pause)?;
    live.wait("the VM fails", |live| {
        Ok(matches!(state_of(live, "triple-fault")?, State::Failed(_)).then_some(()))
    })?;
    let paused = live.beat_after(0)?;
    let failed = state_of(&mut live, "triple-fault")?;
    for (image, version) in [(&images.next, NEXT), (&images.first, FIRST)] {
        succession::succeed(&mut live, image, version, &|_| {}).with_context(|| format!("to {version}"))?;
        let states = (state_of(&mut live, "heartbeat")?, state_of(&mut live, "triple-fault")?);
        if states != (State::Paused, failed.clone()) {
            bail!("paused and {failed:?} before; at {version} {states:?}");
        }
    }
    expect_vm(&mut live, "heartbeat", vmm::Request::Resume)?;
    let after = live.beat_after(paused.beat)?;
    if after.beat <= before.beat {
        bail!("the heartbeat began anew: {before:?}, then {after:?}");
    }
    Ok(())
}

/// Nobody is at the operator's line while everything moves; whoever comes later finds the incumbent
/// ready to leave.
pub fn without_an_operator(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(3, machine, iso, log)?;
    let from = succession::begin(&mut live, &images.next, NEXT, &|_| {})?;
    live.operator.close()?;
    std::thread::sleep(Duration::from_secs(5));
    live.watch()?;
    live.reconnect()?;
    let ready = |status: &api::succession::Status| status.phase == Phase::Ready;
    succession::follow(&mut live, &|_| {}, "the incumbent is ready to leave", &from, ready)?;
    succession::retire(&mut live)?;
    if succession::to_the_end(&mut live)? != NEXT {
        bail!("the successor does not own everything");
    }
    beats(&mut live)
}

/// Given up when everything but the incumbent's home has moved: all of it comes back, and a new
/// succession succeeds.
pub fn given_up(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(3, machine, iso, log)?;
    let before = succession::inventory(&mut live)?;
    let at = give_up(&mut live, &images)?;
    ensure!(at == FIRST, "{at} has everything");
    same_machine(&before, &succession::inventory(&mut live)?)?;
    beats(&mut live)?;
    succession::succeed(&mut live, &images.next, NEXT, &|_| {}).context("after it was given up")?;
    same_machine(&before, &succession::inventory(&mut live)?)?;
    beats(&mut live)
}

/// The VMM of a VM that has come is started anew before it is over: its guest starts anew as well,
/// and everything goes on, or back.
pub fn a_vmm_starts_anew(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(2, machine, iso, log)?;
    let before = succession::inventory(&mut live)?;
    for retires in [false, true] {
        succession::stand_by(&mut live, &images.next, NEXT, &|_| {})?;
        anew(&mut live, HEARTBEAT)?;
        beats(&mut live).context("where it has come")?;
        if retires {
            succession::retire(&mut live)?;
            let end = succession::to_the_end(&mut live)?;
            ensure!(end == NEXT, "{end} has everything");
        } else {
            abort(&mut live, FIRST)?;
        }
        same_machine(&before, &succession::inventory(&mut live)?)?;
        beats(&mut live).with_context(|| format!("at the end, retired: {retires}"))?;
    }
    succession::succeed(&mut live, &images.first, FIRST, &|_| {})?;
    beats(&mut live)
}

/// The VMM of a VM is ended just before the VM is to move: the VM is lost with it, and nothing else
/// is.
pub fn a_vmm_is_ended(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(2, machine, iso, log)?;
    let before = succession::inventory(&mut live)?;
    live.beat_after(0)?;
    succession::begin(&mut live, &images.next, NEXT, &|_| {})?;
    let ended = live.operator.ask_root(root::Request::Kill(HEARTBEAT.to_owned()))?;
    ensure!(ended == root::Reply::Done, "{ended:?}");
    let end = succession::to_the_end(&mut live)?;
    same_machine(&before, &succession::inventory(&mut live)?)?;
    start_anew(&mut live)?;
    beats(&mut live)?;
    let (image, version) = other(&images, &end);
    succession::succeed(&mut live, image, version, &|_| {})?;
    beats(&mut live)
}

/// Images that are altered, cut off, or none are refused with the reason, before anything moves.
pub fn with_bad_images(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_on(3, machine, iso, log)?;
    hindered(&mut live, "no image")?;
    let mut altered = images.next.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    succession::stage(&mut live, &altered)?;
    hindered(&mut live, "the image is refused")?;
    let half = images.next.get(..middle).unwrap_or_default();
    succession::stage(&mut live, half)?;
    hindered(&mut live, "the image is refused")?;
    beats(&mut live)?;
    let (image, version) = other(&images, FIRST);
    succession::succeed(&mut live, image, version, &|_| {})?;
    beats(&mut live)
}

/// The plan names an obstacle, and a start is refused with it.
pub(super) fn hindered(live: &mut Live, obstacle: &str) -> Result<()> {
    let Plan { obstacles, .. } = succession::plan(live)?;
    if !obstacles.iter().any(|text| text.contains(obstacle)) {
        bail!("the plan does not say `{obstacle}`: {obstacles:?}");
    }
    match live.operator.ask_succession(Request::Start)? {
        Reply::Refused(why) if why.contains(obstacle) => Ok(()),
        other => bail!("a start in spite of `{obstacle}`: {other:?}"),
    }
}

pub(super) fn beats(live: &mut Live) -> Result<()> {
    let beat = live.beat_after(0)?;
    live.beat_after(beat.beat + 3).context("the heartbeat after the succession").map(drop)
}

fn state_of(live: &mut Live, vm: &str) -> Result<State> {
    match live.operator.ask_vm(vm, vmm::Request::Status)? {
        vmm::Reply::Status(status) => Ok(status.state),
        other => bail!("{vm}: {other:?}"),
    }
}

fn expect_vm(live: &mut Live, vm: &str, request: vmm::Request) -> Result<()> {
    match live.operator.ask_vm(vm, request)? {
        vmm::Reply::Done => Ok(()),
        other => bail!("{vm}: {other:?}"),
    }
}
