// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of a checkpoint: systems of `tests/manifests/bench-*.toml`, asked by the operator's line, answered by the log.
//!
//! The VMM and the checkpoint service log what each took. All runs on one CPU: under icount the CPUs take turns, and
//! one that waits for another would be counted too.

use super::Values;
use crate::evidence::number_after;
use crate::live::Live;
use crate::operator::VmConsole;
use crate::paths;
use crate::qemu::{Machine, System};
use anyhow::{Context, Result, bail};
use api::vmm::{Reply, Request};
use std::path::Path;

/// The VM of these systems.
const VM: &str = "measured";
/// How often each cost is taken; the middle one counts.
const TIMES: usize = 5;
/// The size whose restore and commit are reported.
const MAIN_SIZE: u32 = 256;

/// Measures at one size of guest memory.
pub fn measure(iso: &Path, name: &'static str, mib: u32) -> Result<Values> {
    let machine = Machine { system: System::Named(name), cpus: 1, icount: true, ..Machine::default() };
    let folder = paths::in_target("bench");
    let mut live = Live::boot(machine, iso, &folder.join(format!("{name}.log")), &folder.join(name), false)?;
    let mut guest = VmConsole::of(VM);
    live.wait_guest(&mut guest, "beat 2 ")?;
    let (mut pauses, mut commits, mut restores) = (Vec::new(), Vec::new(), Vec::new());
    let mut id = 0;
    for _ in 0..=TIMES {
        id = create(&mut live)?;
        pauses.push(logged(&mut live, "created, pause ", "pause ")?);
        commits.push(logged(&mut live, " complete, ", "complete, ")?);
        next_beat(&mut live, &mut guest)?;
    }
    for _ in 0..TIMES {
        next_beat(&mut live, &mut guest)?;
        restore(&mut live, id)?;
        restores.push(logged(&mut live, " restored in ", "restored in ")?);
    }
    // The first one is apart: nothing is known of any page, so all are looked at.
    let first = commits.remove(0);
    let mut values = Values::new();
    values.insert(format!("checkpoint_pause_{mib}"), middle(pauses));
    if mib == MAIN_SIZE {
        values.insert("request_to_commit".to_owned(), middle(commits));
        values.insert(format!("request_to_commit_first_{mib}"), first);
        values.insert("restore_64_pages".to_owned(), middle(restores));
    }
    Ok(values)
}

fn create(live: &mut Live) -> Result<u64> {
    live.wait("a checkpoint is created", |live| {
        match live.operator.ask_vm(VM, Request::CheckpointCreate)? {
            Reply::Checkpoint { id } => Ok(Some(id)),
            Reply::Refused(reason) if reason.to_lowercase().contains("again") => Ok(None),
            other => bail!("no checkpoint: {other:?}"),
        }
    })
}

fn restore(live: &mut Live, id: u64) -> Result<()> {
    match live.operator.ask_vm(VM, Request::Restore { id })? {
        Reply::Done => Ok(()),
        other => bail!("no restore: {other:?}"),
    }
}

/// A beat that begins after now, so that its pages are written.
fn next_beat(live: &mut Live, guest: &mut VmConsole) -> Result<()> {
    while guest.next_line(&mut live.operator)?.is_some() {}
    live.wait_guest(guest, "beat ")?;
    live.wait_guest(guest, "beat ").map(|_| ())
}

/// The number behind `word` in the next line of the log that contains `pattern`.
fn logged(live: &mut Live, pattern: &str, word: &str) -> Result<u64> {
    let line = live.wait_line(pattern)?;
    number_after(&line, word).with_context(|| format!("no number in: {line}"))
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
