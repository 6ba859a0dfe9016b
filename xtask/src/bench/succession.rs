// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of a succession: systems of `tests/manifests/bench-succession-*.toml` that follow themselves.
//!
//! On two CPUs, the fewest there can be. Under icount the CPUs take turns, so what one waits for the other is counted too.

use super::Values;
use crate::demo::succession::NEXT;
use crate::image::successor;
use crate::live::Live;
use crate::paths;
use crate::qemu::{Machine, System};
use crate::succession::{self, Done};
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// Between two looks at the succession. What the first CPU does for the operator would count as if the second one waited for it: where
/// instructions are counted, a CPU that is rung has its turn when the other one has nothing to do.
const PACE: Duration = Duration::from_secs(10);

/// What is measured in a system.
#[derive(Clone, Copy)]
pub enum What {
    /// The blackout of a VM with so many MiB.
    Blackout(u32),
    /// The blackout of a VM whose vCPU executes all the time, from its last exit on.
    Running,
    /// The launch, and the whole of it.
    Course,
}

/// One succession of a system, with instructions counted: what is in ticks is in instructions.
pub fn count(iso: &Path, name: &'static str) -> Result<Done> {
    let image = successor::bytes(NEXT, name)?;
    let machine = Machine {
        system: System::Named(name),
        cpus: 2,
        memory_mib: 2048,
        icount: true,
        ..Machine::default()
    };
    let folder = paths::in_target("bench").join(name);
    let mut live = Live::boot(machine, iso, &folder.join("serial.log"), &folder, false)?;
    live.allow(Duration::from_secs(1200));
    live.pace = PACE;
    live.wait_line("root: ready")?;
    succession::succeed(&mut live, &image, NEXT, &|_| {})
}

/// Measures one succession.
pub fn measure(iso: &Path, name: &'static str, what: What) -> Result<Values> {
    let done = count(iso, name)?;
    let worst = done.blackouts.iter().map(|blackout| blackout.ticks).max().context("no VM has moved")?;
    Ok(match what {
        What::Blackout(mib) => Values::from([(format!("handover_blackout_{mib}"), worst)]),
        What::Running => Values::from([("running_handover_blackout".to_owned(), worst)]),
        What::Course => Values::from([
            ("succession_launch".to_owned(), done.launch_ticks),
            ("succession_total".to_owned(), done.total_ticks),
        ]),
    })
}
