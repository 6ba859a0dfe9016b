// SPDX-License-Identifier: MIT OR Apache-2.0
//! All of one hypervisor stops in the middle of a succession: the other one finds out, and takes
//! what there is.
//!
//! What ran on the CPUs that stopped is lost with them; a VM that was elsewhere, or on its way with
//! its state in the bridge, runs on. How often that is so is written beside the log.

use super::{Images, abort, other, same_machine, small_on, start_anew};
use crate::image::successor::FIRST;
use crate::live::{HEARTBEAT, Live};
use crate::qemu::Machine;
use crate::succession;
use anyhow::{Context, Result, bail, ensure};
use api::console;
use api::root::Inventory;
use api::succession::{Fault, Phase, Request};
use api::vmm::{self, State};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time limit of all of them.
const CAMPAIGN: Duration = Duration::from_secs(3600);
/// What a VMM says of a VM whose state nobody has any more.
const LOST: &str = "its state was lost with the hypervisor that ran it";
/// What a hypervisor says when it finds that the other one has stopped.
const FOUND_OUT: &str = "it counts as fallen";
/// Longer than it takes to find that out.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(40);

/// A few that are far apart: before any VM has moved, while one moves, after it has.
pub fn at_some_steps(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut campaign = Campaign::begin(machine, iso, log)?;
    for (successor, action) in [(false, 10), (false, 19), (false, 26), (true, 9), (true, 18), (true, 24)] {
        ensure!(campaign.stop(successor, action)?, "the {} has no action {action}", who(successor));
    }
    campaign.end(log)
}

/// Every third at which there are two: of the incumbent's from the greeting on, of the successor's
/// until the incumbent could leave.
pub fn at_many_steps(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut campaign = Campaign::begin(machine, iso, log)?;
    for (successor, first) in [(false, 10), (true, 7)] {
        for action in (first..).step_by(3) {
            if !campaign.stop(successor, action)? {
                break;
            }
        }
    }
    campaign.end(log)
}

/// One machine, stop after stop.
struct Campaign {
    live: Live,
    images: Images,
    inventory: Inventory,
    here: String,
    /// Whose, before which action, and whether the VM ran on.
    stops: Vec<(bool, u32, bool)>,
}

impl Campaign {
    fn begin(machine: &Machine, iso: &Path, log: &Path) -> Result<Campaign> {
        let (images, mut live) = small_on(2, machine, iso, log)?;
        live.allow(CAMPAIGN);
        let inventory = succession::inventory(&mut live)?;
        Ok(Campaign { live, images, inventory, here: FIRST.to_owned(), stops: Vec::new() })
    }

    /// One stop, and a succession after it; false where it was over before that action.
    fn stop(&mut self, successor: bool, action: u32) -> Result<bool> {
        let what = format!("stop of the {} before action {action}, from {}", who(successor), self.here);
        self.one(successor, action).context(what)
    }

    fn one(&mut self, successor: bool, action: u32) -> Result<bool> {
        let Campaign { live, images, inventory, here, stops } = self;
        let beat = live.beat_after(0)?;
        let stopped = all_stop(live, images, here, Fault { successor, action, all: true })?;
        let Some(end) = stopped else {
            *here = succession::status(live)?.version;
            return Ok(false);
        };
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
        stops.push((successor, action, running));
        version.clone_into(here);
        Ok(true)
    }

    /// Writes down how often the VM ran on; each side has to have had such a stop.
    fn end(self, log: &Path) -> Result<()> {
        let row = |(successor, action, running): &(bool, u32, bool)| json!({ "stopped": who(*successor), "before_action": action, "vm_running": running });
        let rows: Vec<_> = self.stops.iter().map(row).collect();
        let all = self.stops.iter().filter(|(_, _, running)| *running).count();
        let share = json!({ "stops": rows, "with_all_vms_running": all, "of": rows.len() });
        std::fs::write(log.with_extension("share.json"), serde_json::to_string_pretty(&share)?)?;
        for side in [false, true] {
            let saved = self.stops.iter().any(|(successor, _, running)| *successor == side && *running);
            ensure!(saved, "no VM outlived a stop of the {}: {share}", who(side));
        }
        Ok(())
    }
}

/// A succession in which all of one hypervisor stops; the version that has everything after that,
/// which is the other one. `None` where it was over before that action; a successor's stop that has
/// not come when the incumbent could leave is not waited for, since nobody would be left.
pub(super) fn all_stop(live: &mut Live, images: &Images, here: &str, fault: Fault) -> Result<Option<String>> {
    let (image, version) = other(images, here);
    succession::expect(live, Request::Fault(fault))?;
    succession::begin(live, image, version, &|_| {})?;
    if fault.successor && !ends_before_it_is_ready(live)? {
        abort(live, here)?;
        return Ok(None);
    }
    let end = succession::to_the_end(live)?;
    if !fault.successor && !has_said(live, FOUND_OUT)? {
        return Ok(None);
    }
    ensure!(end == if fault.successor { here } else { version }, "{end} owns the machine");
    Ok(Some(end))
}

/// Whether the succession ends by itself; if not, the incumbent is ready to leave, and nobody has
/// stopped.
fn ends_before_it_is_ready(live: &mut Live) -> Result<bool> {
    let mut ready_since = None;
    loop {
        match succession::status(live)?.phase {
            Phase::Quiet => return Ok(true),
            Phase::Ready => {
                let since: &mut Instant = ready_since.get_or_insert_with(Instant::now);
                if since.elapsed() > FOUND_OUT_WITHIN {
                    return Ok(false);
                }
            }
            _ => ready_since = None,
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether this is in the log of whoever answers.
fn has_said(live: &mut Live, text: &str) -> Result<bool> {
    let (mut log, mut cursor) = (Vec::new(), 0);
    loop {
        match live.operator.ask_console(console::Request::Read { cursor })? {
            console::Reply::Log { bytes, .. } if bytes.is_empty() => {
                return Ok(String::from_utf8_lossy(&log).contains(text));
            }
            console::Reply::Log { start, bytes } => {
                cursor = start + bytes.len() as u64;
                log.extend(bytes);
            }
            other => bail!("console: {other:?}"),
        }
    }
}

fn who(successor: bool) -> &'static str {
    if successor { "successor" } else { "incumbent" }
}
