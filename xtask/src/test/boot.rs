// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runner of boot tests: several machines at a time, a time limit each, the serial log kept where
//! one fails.

use super::lines::says;
use super::outcome::Outcome;
use super::table::{BootTest, Expectation};
use crate::paths;
use crate::qemu::{Deadline, Event, PASSED, Running};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Runs `tests`, `jobs` at a time; each outcome is told as it comes.
pub fn run_all(tests: &[BootTest], iso: &Path, jobs: usize, mut tell: impl FnMut(Outcome) + Send) {
    let next = AtomicUsize::new(0);
    let tell = Mutex::new(&mut tell);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                // The counter hands each test to one thread; nothing else is ordered by it.
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_one(test, iso);
                    let mut tell = tell.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    tell(outcome);
                }
            });
        }
    });
}

/// Where a test's serial log is kept.
pub fn log_of(name: &str) -> PathBuf {
    paths::in_target("test").join(format!("{name}.log"))
}

fn run_one(test: &BootTest, iso: &Path) -> Outcome {
    let start = Instant::now();
    let log = log_of(&test.name);
    let result = attempt(test, iso, &log);
    let result = match result {
        Ok(()) => {
            let _ = std::fs::remove_file(&log);
            Ok(())
        }
        Err(error) => {
            Err(error.context(format!("{}\nfull log: {}", serial_excerpt(&log), paths::shown(&log))))
        }
    };
    Outcome::of(&test.name, start, result)
}

fn attempt(test: &BootTest, iso: &Path, log: &Path) -> Result<()> {
    if let Expectation::Script(script) = test.expectation {
        return script(&test.machine, iso, log);
    }
    let mut running = test.machine.start(iso, log)?;
    let deadline = running.deadline(test.limit);
    match &test.expectation {
        Expectation::Passes { case } => passes(&mut running, &deadline, case),
        Expectation::Says { lines } => says(&mut running, &deadline, lines),
        Expectation::Script(_) => Ok(()),
    }
}

/// Waits for the machine's own verdict by the debug exit port. Its line says the same, but the core
/// may write between its letters; so it is only watched that the suite does not run something else.
fn passes(running: &mut Running, deadline: &Deadline, case: &str) -> Result<()> {
    loop {
        match running.next_within(deadline)? {
            Event::Line(line) if names_other_case(&line, case) => {
                bail!("the suite does something else: {line}")
            }
            Event::Line(_) => {}
            Event::Ended(status) if status.code() == Some(PASSED) => return Ok(()),
            Event::Ended(status) => bail!("the machine ended with {status} instead of status {PASSED}"),
            Event::TimedOut => bail!("no verdict within the time limit"),
        }
    }
}

/// Whether the line is one of the list that the suite prints where no case was asked for, and not a
/// part of ours.
fn names_other_case(line: &str, case: &str) -> bool {
    let named = line.strip_prefix("case ").filter(|named| !named.contains([' ', ':']));
    named.is_some_and(|named| named.len() > 2 && !case.starts_with(named))
}

/// The last lines of a serial log, free of control sequences.
pub fn serial_excerpt(log: &Path) -> String {
    let bytes = std::fs::read(log).with_context(|| format!("no log {}", log.display())).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default();
    format!("last lines of its console:\n  | {}", last.join("\n  | "))
}

#[cfg(test)]
mod tests {
    use super::names_other_case;

    #[test]
    fn a_list_of_cases_is_no_verdict() {
        assert!(names_other_case("case untyped-revoke", "vcpu-io"));
        assert!(!names_other_case("case vcpu-io: ok", "vcpu-io"));
        assert!(!names_other_case("case vcpu-", "vcpu-io"));
        assert!(!names_other_case("thread stopped", "vcpu-io"));
    }
}
