// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of a checkpoint: systems of `tests/manifests/bench-*.toml`, whose guest checkpoints and restores itself.
//!
//! VMM and checkpoint service log what each took; nobody else talks to the machine, so a run is the same every time. It has one
//! CPU: under icount the CPUs take turns, and what one does while another works would be counted too.

use super::Values;
use crate::evidence::number_after;
use crate::live::CORE_PANIC;
use crate::paths;
use crate::qemu::{Event, Machine, System};
use anyhow::{Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the guest says at its end.
const DONE: &str = "bench: done";
/// Checkpoints that it makes and restores at least.
const ROUNDS: usize = 5;
/// The size whose restore and commit are reported.
const MAIN_SIZE: u32 = 64;
/// Time limit of one run.
const LIMIT: Duration = Duration::from_secs(600);

/// Measures at one size of guest memory.
pub fn measure(iso: &Path, name: &'static str, mib: u32) -> Result<Values> {
    let machine = Machine { system: System::Named(name), cpus: 1, icount: true, ..Machine::default() };
    let log = paths::in_target("bench").join(format!("{name}.log"));
    let lines = run(&machine, iso, &log)?;
    read(&lines, mib).map_err(|error| error.context(format!("see {}", paths::shown(&log))))
}

/// The log up to the guest's end.
fn run(machine: &Machine, iso: &Path, log: &Path) -> Result<Vec<String>> {
    let mut running = machine.start(iso, log)?;
    let deadline = Instant::now() + LIMIT;
    let mut lines = Vec::new();
    loop {
        match running.next(deadline)? {
            Event::Line(line) if line.contains(CORE_PANIC) => bail!("the core stopped: {line}"),
            Event::Line(line) if line.contains(DONE) => return Ok(lines),
            Event::Line(line) => lines.push(line),
            Event::Ended(status) => bail!("ended with {status}; see {}", paths::shown(log)),
            Event::TimedOut => bail!("not done within {} s; see {}", LIMIT.as_secs(), paths::shown(log)),
        }
    }
}

/// The values in a log.
fn read(lines: &[String], mib: u32) -> Result<Values> {
    let pauses = logged(lines, "created, pause ");
    let commits = logged(lines, " complete, ");
    let restores = logged(lines, " restored in ");
    let ([first_pause, ..], [first_commit, ..]) = (&pauses[..], &commits[..]) else {
        bail!("no checkpoint was made")
    };
    if [&pauses, &commits, &restores].iter().any(|values| values.len() < ROUNDS) {
        bail!("only {} checkpoints, {} restores", commits.len(), restores.len());
    }
    let mut values = Values::new();
    // The first one is apart: nothing is known of any page yet, so all are copied.
    values.insert(format!("first_checkpoint_pause_{mib}"), *first_pause);
    values.insert(format!("checkpoint_pause_{mib}"), middle(&pauses));
    if mib == MAIN_SIZE {
        values.insert("request_to_commit".to_owned(), *first_commit);
        values.insert("request_to_commit_of_little".to_owned(), middle(&commits));
        values.insert("restore_64_pages".to_owned(), middle(&restores));
    }
    Ok(values)
}

/// The numbers that follow `word`.
fn logged(lines: &[String], word: &str) -> Vec<u64> {
    lines.iter().filter_map(|line| number_after(line, word)).collect()
}

fn middle(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_first_and_the_middle_are_told_apart() {
        let mut lines = Vec::new();
        for (round, pause) in [900, 50, 70, 60, 65, 40].into_iter().enumerate() {
            lines.push(format!("[bench] checkpoint {round} created, pause {pause} ticks"));
            lines.push(format!("[checkpoint] checkpoint {round} complete, {pause}0 ticks after it was begun"));
            lines.push(format!("[bench] checkpoint {round} restored in 7 ticks"));
        }
        let values = read(&lines, 64).expect("readable");
        assert_eq!((values["first_checkpoint_pause_64"], values["checkpoint_pause_64"]), (900, 65));
        assert_eq!((values["request_to_commit"], values["restore_64_pages"]), (9000, 7));
        assert!(read(&lines[..3], 64).is_err());
    }
}
