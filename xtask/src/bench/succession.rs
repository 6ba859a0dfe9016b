// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of a succession: systems of `tests/manifests/bench-succession-*.toml` that follow
//! themselves.
//!
//! On two CPUs, the fewest there can be. Under icount the CPUs take turns, so what one waits for
//! the other is counted too.

use super::values::{Values, middle};
use crate::image::successor::{self, FIRST, NEXT};
use crate::live::Live;
use crate::paths;
use crate::qemu::{Machine, System};
use crate::succession::{self, Done};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// Between two looks at the succession. What the first CPU does for the operator would count as if
/// the second one waited for it: where instructions are counted, a CPU that is rung has its turn
/// when the other one has nothing to do.
const PACE: Duration = Duration::from_secs(5);
/// Time limit of one system.
const LIMIT: Duration = Duration::from_secs(1200);

/// What is measured in a system.
#[derive(Clone, Copy)]
pub enum What {
    /// The blackout of a VM with so many MiB.
    Blackout(u32),
    /// The worst blackout of so many VMs.
    Vms(u32),
    /// The blackout of a VM whose vCPU executes all the time, from its last exit on.
    Running,
    /// The launch, and the whole of it.
    Course,
}

/// So many successions of a system, with instructions counted: what is in ticks is in instructions.
pub fn count(iso: &Path, name: &'static str, times: usize) -> Result<Vec<Done>> {
    let images = [(successor::bytes(NEXT, name)?, NEXT), (successor::bytes(FIRST, name)?, FIRST)];
    let machine = Machine {
        system: System::Named(name),
        cpus: 2,
        memory_mib: 2048,
        icount: true,
        ..Machine::default()
    };
    let folder = paths::in_target("bench").join(name);
    let mut live = Live::boot(machine, iso, &folder.join("serial.log"), &folder, false)?;
    live.allow(LIMIT);
    live.pace = PACE;
    live.wait_line("root: ready")?;
    let ways = images.iter().cycle().take(times);
    ways.map(|(image, version)| succession::succeed(&mut live, image, version, &|_| {})).collect()
}

/// Measures a system. Of the blackouts, the middle one counts and the worst one.
pub fn measure(iso: &Path, name: &'static str, what: What) -> Result<Values> {
    let (blackout, times) = match what {
        What::Blackout(mib) => (format!("handover_blackout_{mib}"), 5),
        What::Vms(vms) => (format!("handover_blackout_{vms}_vms"), 3),
        // Everything takes longer beside a vCPU that never waits.
        What::Running => ("running_handover_blackout".to_owned(), 3),
        What::Course => {
            let done = count(iso, name, 1)?.pop().context("no succession")?;
            return Ok(Values::from([
                ("succession_launch".to_owned(), done.launch_ticks),
                ("succession_total".to_owned(), done.total_ticks),
            ]));
        }
    };
    let worst_vcpu = |done: &Done| done.blackouts.iter().map(|blackout| blackout.ticks).max();
    let blackouts: Option<Vec<u64>> = count(iso, name, times)?.iter().map(worst_vcpu).collect();
    let blackouts = blackouts.context("no VM has moved")?;
    let worst = blackouts.iter().copied().max().unwrap_or(0);
    Ok(Values::from([(format!("worst_{blackout}"), worst), (blackout, middle(blackouts))]))
}
