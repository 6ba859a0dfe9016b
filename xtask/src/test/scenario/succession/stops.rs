// SPDX-License-Identifier: MIT OR Apache-2.0
//! All of one hypervisor stops in the middle of a succession: the other one finds out, and takes what there is.
//!
//! What ran on the CPUs that stopped is lost with them; a VM that was elsewhere, or on its way with its state in the bridge, runs on. How often
//! that is so is written beside the log.

use super::{Images, other, same_machine, small_on, start_anew};
use crate::demo::succession::FIRST;
use crate::live::{HEARTBEAT, Live};
use crate::qemu::Machine;
use crate::succession;
use anyhow::{Context, Result, bail, ensure};
use api::root::Inventory;
use api::succession::{Fault, Request};
use api::vmm::{self, State};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Time limit of all of them.
const CAMPAIGN: Duration = Duration::from_secs(3600);
/// What a VMM says of a VM whose state nobody has any more.
const LOST: &str = "its state was lost with the hypervisor that ran it";

/// Who stops, and before which of its actions.
type Stop = (bool, u32);

/// A few that are far apart: before any VM has moved, while one moves, after it has.
pub fn at_some_steps(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let stops = [(false, 10), (false, 19), (false, 26), (true, 9), (true, 18), (true, 24)];
    campaign(machine, iso, log, &stops)
}

/// Every third at which there are two: of the incumbent's from the greeting on, of the successor's until the incumbent leaves.
pub fn at_many_steps(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let incumbent = (10..34).step_by(3).map(|action| (false, action));
    let successor = (7..30).step_by(3).map(|action| (true, action));
    let stops: Vec<Stop> = incumbent.chain(successor).collect();
    campaign(machine, iso, log, &stops)
}

fn campaign(machine: &Machine, iso: &Path, log: &Path, stops: &[Stop]) -> Result<()> {
    let (images, mut live) = small_on(2, machine, iso, log)?;
    live.allow(CAMPAIGN);
    let inventory = succession::inventory(&mut live)?;
    let mut here = FIRST.to_owned();
    let mut ran = Vec::new();
    for stop in stops {
        let what = || format!("stop of the {} before action {}, from {here}", who(stop.0), stop.1);
        let (now, running) = one(&mut live, &images, &inventory, &here, *stop).with_context(what)?;
        ran.push((stop, running));
        here = now;
    }
    let all = ran.iter().filter(|(_, running)| *running).count();
    let rows: Vec<_> = ran
        .iter()
        .map(|((successor, action), running)| {
            json!({ "stopped": who(*successor), "before_action": action, "vm_running": running })
        })
        .collect();
    let share = json!({ "stops": rows, "with_all_vms_running": all, "of": ran.len() });
    std::fs::write(log.with_extension("share.json"), serde_json::to_string_pretty(&share)?)?;
    for successor in [false, true] {
        let saved = ran.iter().any(|((who, _), running)| *who == successor && *running);
        ensure!(saved, "no VM outlived a stop of the {}: {share}", who(successor));
    }
    Ok(())
}

fn who(successor: bool) -> &'static str {
    if successor { "successor" } else { "incumbent" }
}

/// One stop; who has everything afterwards, and whether the VM ran on.
fn one(
    live: &mut Live,
    images: &Images,
    inventory: &Inventory,
    here: &str,
    (successor, action): Stop,
) -> Result<(String, bool)> {
    let beat = live.beat_after(0)?;
    let (image, version) = other(images, here);
    succession::expect(live, Request::Fault(Fault { successor, action, all: true }))?;
    succession::begin(live, image, version, &|_| {})?;
    let survivor = if successor { here } else { version };
    let end = succession::to_the_end(live)?;
    ensure!(end == survivor, "{end} owns the machine");
    same_machine(inventory, &succession::inventory(live)?)?;
    let running = match succession::ask_vm_patiently(live, HEARTBEAT, &vmm::Request::Status)? {
        vmm::Reply::Status(vmm::Status { state: State::Running, .. }) => true,
        vmm::Reply::Status(vmm::Status { state: State::Failed(why), .. }) if why == LOST => false,
        other => bail!("the VM is {other:?}"),
    };
    if running {
        live.beat_after(beat.beat + 3).context("the VM after the stop")?;
    } else {
        start_anew(live)?;
    }
    let (image, version) = other(images, &end);
    succession::succeed(live, image, version, &|_| {}).context("the succession after it")?;
    same_machine(inventory, &succession::inventory(live)?)?;
    Ok((version.to_owned(), running))
}
