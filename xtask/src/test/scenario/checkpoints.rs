// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator's side of checkpoints: several of one VM, restored in any order, removed, up to the
//! quota.

use super::{boot, undisturbed};
use crate::evidence::{Returned, number_after};
use crate::live::Live;
use crate::operator::VmConsole;
use crate::qemu::Machine;
use anyhow::{Context, Result, bail};
use api::checkpoint::{Info, Reply as Answer, Request as Ask, Stage};
use api::vmm::{Reply, Request, State};
use std::ops::RangeInclusive;
use std::path::Path;

const VM: &str = "linux";

/// Three checkpoints; the second, the third and the first are restored in this order.
pub fn in_any_order(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let mut guest = VmConsole::of(VM);
    let before = live.beat_after(0)?;
    let mut made = Vec::new();
    for least in [2, 6, 10] {
        live.wait_guest(&mut guest, &format!("checkpointer: counter {least}"))?;
        let id = create(&mut live, VM)?;
        drain(&mut live, &mut guest)?;
        // However busy the host is: the checkpoint was made between the count waited for and this
        // one.
        let most = next_count(&mut live, &mut guest)?;
        made.push((least, most, id));
    }
    for index in [1, 2, 0] {
        let (least, most, id) = made.get(index).copied().context("three were made")?;
        let last = next_count(&mut live, &mut guest)?;
        restore(&mut live, VM, id)?;
        goes_to(&mut live, &mut guest, last, least..=most + 1)
            .with_context(|| format!("after the restore of checkpoint {id}, made from {least} to {most}"))?;
    }
    undisturbed(&mut live, before)
}

/// Follows the guest's counts from `last` on until they reach `wanted`. Those of the time before
/// the restore go up by one; the first that does not is where the restore has led.
fn goes_to(live: &mut Live, guest: &mut VmConsole, last: u64, wanted: RangeInclusive<u64>) -> Result<()> {
    let mut last = last;
    loop {
        let count = next_count(live, guest)?;
        guest.is_whole()?;
        if wanted.contains(&count) {
            return Ok(());
        }
        if count != last && count != last + 1 {
            bail!("the guest counts {count} after {last}");
        }
        last = count;
    }
}

/// The next count that the guest's program prints.
fn next_count(live: &mut Live, guest: &mut VmConsole) -> Result<u64> {
    let line = live.wait_guest(guest, "checkpointer: counter")?;
    number_after(&line, "counter ").context("a count has a number")
}

/// When the quota is used up a checkpoint is refused with that reason, the guest goes on, and
/// removing one makes room.
pub fn quota(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let mut guest = VmConsole::of(VM);
    live.wait_guest(&mut guest, "checkpointer: counter 2")?;
    let mut made = Vec::new();
    while let Some(id) = try_create(&mut live, VM)? {
        made.push(id);
        if made.len() > 64 {
            bail!("there is no quota");
        }
    }
    drain(&mut live, &mut guest)?;
    live.guest_types(&guest, "tell checkpoint\n")?;
    let refused = live.wait_guest(&mut guest, "checkpointer: checkpoint ")?;
    if Returned::parse(&refused).is_some() || !refused.contains("QUOTA_EXHAUSTED") {
        bail!("the guest was not refused: {refused}");
    }
    live.wait_guest(&mut guest, "checkpointer: counter")?;
    let first = made.first().copied().context("none could be made")?;
    match live.operator.ask_checkpoint(Ask::Remove { id: first })? {
        Answer::Done => {}
        other => bail!("checkpoint {first} was not removed: {other:?}"),
    }
    if try_create(&mut live, VM)?.is_none() {
        bail!("removing one made no room");
    }
    Ok(())
}

/// The operator pauses, resumes, stops and starts a VM.
pub fn pause_stop_start(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let before = live.beat_after(0)?;
    let mut guest = VmConsole::of(VM);
    live.wait_guest(&mut guest, "checkpointer: counter 2")?;
    told(&mut live, Request::Pause, &State::Paused)?;
    told(&mut live, Request::Resume, &State::Running)?;
    drain(&mut live, &mut guest)?;
    live.wait_guest(&mut guest, "checkpointer: counter")?;
    told(&mut live, Request::Stop, &State::Stopped)?;
    told(&mut live, Request::Start, &State::Running)?;
    live.wait_guest(&mut guest, "checkpointer: counter 2")?;
    undisturbed(&mut live, before)
}

fn told(live: &mut Live, request: Request, expected: &State) -> Result<()> {
    match live.operator.ask_vm(VM, request.clone())? {
        Reply::Done => {}
        other => bail!("{request:?}: {other:?}"),
    }
    live.wait(&format!("{VM} is {expected:?}"), |live| match live.operator.ask_vm(VM, Request::Status)? {
        Reply::Status(status) => Ok((status.state == *expected).then_some(())),
        other => bail!("{VM}: {other:?}"),
    })
}

/// Creates a checkpoint and waits until it is complete.
pub fn create(live: &mut Live, vm: &str) -> Result<u64> {
    try_create(live, vm)?.context("no checkpoint could be created: the quota is used up")
}

/// Creates a checkpoint unless the quota is used up.
fn try_create(live: &mut Live, vm: &str) -> Result<Option<u64>> {
    let id = live.wait("a checkpoint is created", |live| {
        match live.operator.ask_vm(vm, Request::CheckpointCreate)? {
            Reply::Checkpoint { id } => Ok(Some(Some(id))),
            Reply::Refused(reason) if is_busy(&reason) => Ok(None),
            Reply::Refused(reason) if reason.to_lowercase().contains("quota") => Ok(Some(None)),
            other => bail!("{vm}: {other:?}"),
        }
    })?;
    let Some(id) = id else { return Ok(None) };
    live.wait("the checkpoint is complete", |live| {
        let info = find(live, id)?;
        match info.stage {
            Stage::Complete => Ok(Some(Some(id))),
            Stage::Failed(why) => bail!("checkpoint {id} failed: {why:?}"),
            _ => Ok(None),
        }
    })
}

fn find(live: &mut Live, id: u64) -> Result<Info> {
    match live.operator.ask_checkpoint(Ask::List { from: id })? {
        Answer::List(list) => list
            .into_iter()
            .find(|info| info.id == id)
            .with_context(|| format!("checkpoint {id} is not listed")),
        other => bail!("checkpoint: {other:?}"),
    }
}

/// Restores a checkpoint in place.
pub fn restore(live: &mut Live, vm: &str, id: u64) -> Result<()> {
    live.wait("the restore is done", |live| match live.operator.ask_vm(vm, Request::Restore { id })? {
        Reply::Done => Ok(Some(())),
        Reply::Refused(reason) if is_busy(&reason) => Ok(None),
        other => bail!("{vm}: {other:?}"),
    })
}

fn is_busy(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["busy", "still being", "try again"].iter().any(|word| reason.contains(word))
}

/// Passes over what was said so far.
fn drain(live: &mut Live, guest: &mut VmConsole) -> Result<()> {
    live.pass_over_guest(guest, "").map(drop)
}
