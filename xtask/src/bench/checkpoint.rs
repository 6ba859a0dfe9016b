// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of a checkpoint: systems of `tests/manifests/bench-*.toml`, whose VM checkpoints and
//! restores itself.
//!
//! The VMM and the checkpoint service log what each took. All runs on one CPU: under icount the
//! CPUs take turns, and one that waits for another would be counted too.

use super::values::{Values, middle};
use crate::evidence::number_after;
use crate::live::CORE_PANIC;
use crate::paths;
use crate::qemu::{Event, Machine, System};
use anyhow::{Result, bail};
use std::path::Path;
use std::time::Duration;

/// Rounds of a checkpoint and its restore, one more than the manifests say.
const ROUNDS: usize = 6;
/// The size whose restore and commit are reported without naming it.
const MAIN_SIZE: u32 = 64;
/// The size whose restore and commit say what grows.
const LARGE_SIZE: u32 = 1024;
/// Time limit of one system.
const LIMIT: Duration = Duration::from_secs(600);

/// What was logged.
#[derive(Default)]
struct Costs {
    pauses: Vec<u64>,
    commits: Vec<u64>,
    restores: Vec<u64>,
}

impl Costs {
    fn note(&mut self, line: &str) {
        let lists = [
            (" created, pause ", &mut self.pauses),
            (" complete, ", &mut self.commits),
            (" restored in ", &mut self.restores),
        ];
        for (word, list) in lists {
            if line.contains("] checkpoint ") {
                list.extend(number_after(line, word));
            }
        }
    }

    /// Whether each round was logged.
    fn complete(&self) -> bool {
        [&self.pauses, &self.commits, &self.restores].iter().all(|list| list.len() >= ROUNDS)
    }

    fn values(mut self, mib: u32) -> Values {
        // The first one is apart: nothing is known of any page, so all are copied. Its pause must
        // not show that.
        let first = if self.commits.is_empty() { 0 } else { self.commits.remove(0) };
        let mut values = Values::new();
        values.extend(self.pauses.first().map(|pause| (format!("first_checkpoint_pause_{mib}"), *pause)));
        values.insert(format!("checkpoint_pause_{mib}"), middle(self.pauses));
        // The large one has as many pages with contents, and as many that are written: what it
        // takes more, the size costs.
        let size = match mib {
            MAIN_SIZE => String::new(),
            LARGE_SIZE => format!("_{mib}"),
            _ => return values,
        };
        values.insert(format!("request_to_commit{size}"), middle(self.commits));
        values.insert(format!("request_to_commit_first{size}"), first);
        values.insert(format!("restore_64_pages{size}"), middle(self.restores));
        values
    }
}

/// What a zero page takes at the first commit: by so much it is longer where the VM has 960 MiB
/// more of them.
pub fn zero_page(values: &Values) -> Option<u64> {
    let large = values.get("request_to_commit_first_1024")?;
    Some(large.saturating_sub(*values.get("request_to_commit_first")?) / (960 << 20 >> 12))
}

/// Measures at one size of guest memory.
pub fn measure(iso: &Path, name: &'static str, mib: u32) -> Result<Values> {
    let machine = Machine { system: System::Named(name), cpus: 1, icount: true, ..Machine::default() };
    let log = paths::in_target("bench").join(format!("{name}.log"));
    let mut running = machine.start(iso, &log)?;
    let deadline = running.deadline(LIMIT);
    let mut costs = Costs::default();
    while !costs.complete() {
        match running.next_within(&deadline)? {
            Event::Line(line) if line.contains(CORE_PANIC) => bail!("the core stopped: {line}"),
            Event::Line(line) => costs.note(&line),
            Event::Ended(status) => bail!("the machine ended ({status}); see {}", paths::shown(&log)),
            Event::TimedOut => {
                bail!("not all was logged within {} s; see {}", LIMIT.as_secs(), paths::shown(&log))
            }
        }
    }
    Ok(costs.values(mib))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_from_the_log() {
        let mut costs = Costs::default();
        costs.note("[measured] checkpoint 1 created, pause 40000 ticks");
        costs.note("[checkpoint] checkpoint 1 complete, 90000 ticks after it was begun");
        costs.note("[measured] checkpoint 1 restored in 70000 ticks");
        costs.note("[measured] | bench: checkpoint 1 not restored: status 0x1");
        let values = costs.values(64);
        assert_eq!(values.get("checkpoint_pause_64"), Some(&40_000));
        assert_eq!(values.get("first_checkpoint_pause_64"), Some(&40_000));
        assert_eq!(values.get("request_to_commit_first"), Some(&90_000));
        assert_eq!(values.get("restore_64_pages"), Some(&70_000));
    }
}
