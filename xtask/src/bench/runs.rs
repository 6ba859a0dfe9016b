// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boots that measure: each bench case of the test suite, and systems that checkpoint
//! themselves or are followed by another version.

use super::succession::{self, What};
use super::values::Values;
use super::{checkpoint, console};
use crate::paths;
use crate::process;
use crate::qemu::{Event, Machine, PASSED, System};
use crate::test::suite;
use anyhow::{Result, bail};
use std::path::Path;
use std::time::Duration;

/// One boot.
pub struct Run {
    /// Its name.
    pub name: String,
    kind: Kind,
}

enum Kind {
    /// A case of the suite, which prints values and ends.
    Case(Box<Machine>),
    /// A system with a VM of so many MiB.
    Checkpoint(&'static str, u32),
    /// A system with a guest that floods its console.
    Console,
    /// A system that is followed by another version of itself.
    Succession(&'static str, What),
}

/// Time limit of a case.
const LIMIT: Duration = Duration::from_secs(300);

/// All of them.
pub fn all() -> Result<Vec<Run>> {
    let cases = suite::cases()?.into_iter().filter(suite::Case::is_bench);
    let mut runs: Vec<Run> = cases.map(of_suite).collect();
    let sizes = [("bench-64", 64), ("bench-256", 256), ("bench-1024", 1024)];
    runs.extend(
        sizes.map(|(name, mib)| Run { name: format!("checkpoint-{mib}"), kind: Kind::Checkpoint(name, mib) }),
    );
    runs.push(Run { name: "console".to_owned(), kind: Kind::Console });
    let successions = [
        ("bench-succession-64", What::Blackout(64)),
        ("bench-succession-1024", What::Blackout(1024)),
        ("bench-succession-running", What::Running),
        ("bench-succession-4-vms", What::Course),
        ("bench-succession-16-vms", What::Vms(16)),
    ];
    runs.extend(successions.map(|(name, what)| Run {
        name: name.trim_start_matches("bench-").to_owned(),
        kind: Kind::Succession(name, what),
    }));
    Ok(runs)
}

fn of_suite(case: suite::Case) -> Run {
    // Under icount the CPUs take turns of many instructions, so one that waits for another waits
    // for longer or shorter.
    let numbered = case.name.ends_with(|last: char| last.is_ascii_digit());
    let cpus = if numbered || case.name.ends_with("-across") { case.cpus() } else { 1 };
    let machine = Machine {
        system: System::Suite,
        options: format!("case={}", case.name),
        cpus,
        memory_mib: 2048,
        icount: true,
        ..Machine::default()
    };
    Run { name: case.name, kind: Kind::Case(Box::new(machine)) }
}

impl Run {
    /// Boots and collects.
    pub fn measure(&self, iso: &Path) -> Result<Values> {
        process::announce("bench", &self.name);
        match &self.kind {
            Kind::Case(machine) => self.case(machine, iso),
            Kind::Checkpoint(name, mib) => checkpoint::measure(iso, name, *mib),
            Kind::Console => console::measure(iso),
            Kind::Succession(name, what) => succession::measure(iso, name, *what),
        }
    }

    fn case(&self, machine: &Machine, iso: &Path) -> Result<Values> {
        let log = paths::in_target("bench").join(format!("{}.log", self.name));
        let mut running = machine.start(iso, &log)?;
        let deadline = running.deadline(LIMIT);
        let mut values = Values::new();
        loop {
            match running.next_within(&deadline)? {
                Event::Line(line) => values.extend(value_in(&line)),
                Event::Ended(status) if status.code() == Some(PASSED) && !values.is_empty() => {
                    return Ok(values);
                }
                Event::Ended(status) => {
                    bail!("ended with {status} and {} value(s); see {}", values.len(), paths::shown(&log))
                }
                Event::TimedOut => {
                    bail!("nothing more within {} s; see {}", LIMIT.as_secs(), paths::shown(&log))
                }
            }
        }
    }
}

/// The value in `... bench NAME VALUE`.
fn value_in(line: &str) -> Option<(String, u64)> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "bench").skip(1);
    let name = words.next()?;
    let value = words.next()?.parse().ok()?;
    if name.ends_with("_median") {
        // The cases print it beside the least; under icount the two are the same.
        return None;
    }
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain.then(|| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::value_in;

    #[test]
    fn a_value_is_found_behind_a_prefix() {
        assert_eq!(value_in("[suite] bench ipc_round_trip 380"), Some(("ipc_round_trip".to_owned(), 380)));
        assert_eq!(value_in("bench of the suite begins"), None);
        assert_eq!(value_in("bench a b"), None);
    }
}
