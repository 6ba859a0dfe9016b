// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second hypervisor is started beside the first, takes over its running VMs, and the first leaves; then back again.

use super::Report;
use crate::image::{self, Scope, successor};
use crate::live::Live;
use crate::paths;
use crate::qemu::Machine;
use crate::succession;
use anyhow::Result;
use serde_json::json;
use std::time::Instant;

/// The version that follows.
pub const NEXT: &str = "0.2.0";
/// The version that is there first, and again after the downgrade.
pub const FIRST: &str = env!("CARGO_PKG_VERSION");

/// Builds, boots and plays it with the story told.
pub fn run(verbose: bool) -> Result<Report> {
    let iso = image::build(Scope::Everything)?;
    let next = std::fs::read(successor::make(NEXT, "")?.path)?;
    let folder = paths::in_target("demo/succession");
    println!("A machine with 4 CPUs and 2 GiB boots Understudy {FIRST} in the emulator.");
    let started = Instant::now();
    let mut live = Live::boot(Machine::default(), &iso, &folder.join("serial.log"), &folder, verbose)?;
    let say = |text: &str| println!("{:8.1} s  {text}", started.elapsed().as_secs_f64());
    live.wait_line("root: ready")?;
    let before = succession::inventory(&mut live)?;
    let status = succession::succeed(&mut live, &next, NEXT, &say)?;
    let after = succession::inventory(&mut live)?;
    let equal = before.memory_bytes == after.memory_bytes;
    say(&format!(
        "memory before {} after {}, CPUs {:?} {:?}",
        before.memory_bytes, after.memory_bytes, before.apic_ids, after.apic_ids
    ));
    say(&format!("blackouts: {:?}", status.blackouts));
    let broken = if equal { Vec::new() } else { vec!["inventory".into()] };
    Ok(Report { values: json!({ "version_before": FIRST, "version_after": status.version }), broken })
}
