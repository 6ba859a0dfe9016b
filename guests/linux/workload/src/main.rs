// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Linux program that works on every CPU of its computer, and says so once a second as long as
//! nothing is wrong.
//!
//! It computes known results on every CPU ([`hash`]), lets all CPUs change one address space
//! ([`worker`]), starts and awaits a process a second, sleeps, and compares clocks ([`clocks`]);
//! and reads what the kernel complains of ([`kernel_log`]). A round ends with `workload: round N ok
//! cpus C passes P late_ms L` or `workload: FAILED what`. L is how late the latest round was so
//! far: the pause of a checkpoint, a restore or a succession is in it, if the guest's time went on.

mod clocks;
mod hash;
mod kernel_log;
mod system;
mod worker;

use clocks::Clocks;
use kernel_log::KernelLog;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use worker::Worker;

/// Time of a round.
const ROUND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = arguments.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    let failed = match arguments.first().map(String::as_str) {
        Some("hash") => worker::hash_on(number),
        Some("share") => worker::share(number),
        Some("child") => return child(number),
        _ => match Workload::begin() {
            Ok(workload) => workload.run(),
            Err(what) => format!("workload: FAILED {what}"),
        },
    };
    println!("{failed}");
    ExitCode::FAILURE
}

/// A short life: one pass, and an exit code that tells it from others.
fn child(number: usize) -> ExitCode {
    match hash::pass(number, &mut vec![0; hash::WORDS]) {
        Ok(()) => ExitCode::from(code(number)),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The exit code of a child that did well: neither 0 nor 1.
fn code(number: usize) -> u8 {
    2 + (number % 100) as u8
}

struct Workload {
    cpus: usize,
    clocks: Clocks,
    log: KernelLog,
    workers: Vec<Worker>,
    late: Duration,
}

impl Workload {
    fn begin() -> Result<Self, String> {
        let cpus = std::thread::available_parallelism().map_err(|error| error.to_string())?.get();
        let log = KernelLog::open().map_err(|error| format!("/dev/kmsg: {error}"))?;
        let mut workers = vec![Worker::start(&["share", &cpus.to_string()])?];
        for cpu in 0..cpus {
            workers.push(Worker::start(&["hash", &cpu.to_string()])?);
        }
        Ok(Self { cpus, clocks: Clocks::new()?, log, workers, late: Duration::ZERO })
    }

    fn run(mut self) -> ! {
        let mut due = Instant::now();
        for round in 1_usize.. {
            due += ROUND;
            let failures = self.round(round, due);
            for what in &failures {
                println!("workload: FAILED {what}");
            }
            if failures.is_empty() {
                let passes: u64 = self.workers.iter().map(|worker| worker.passes).sum();
                let (cpus, late) = (self.cpus, self.late.as_millis());
                println!("workload: round {round} ok cpus {cpus} passes {passes} late_ms {late}");
            }
            due = due.max(Instant::now().checked_sub(ROUND).unwrap_or(due));
        }
        unreachable!("numbers do not end")
    }

    /// One round; what failed in it.
    fn round(&mut self, round: usize, due: Instant) -> Vec<String> {
        let mut results = vec![self.clocks.sleep_until(due)];
        self.late = self.late.max(Instant::now().saturating_duration_since(due));
        results.push(clocks::tour(self.cpus));
        results.push(self.clocks.check());
        results.push(beget(round));
        results.extend(self.workers.iter_mut().map(Worker::listen));
        let complaints = self.log.complaints().into_iter().map(|line| format!("kernel: {line}"));
        results.into_iter().filter_map(Result::err).chain(complaints).collect()
    }
}

/// Starts a child and waits for its end.
fn beget(number: usize) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new(program)
        .args(["child", &number.to_string()])
        .status()
        .map_err(|error| format!("child {number}: {error}"))?;
    if status.code() == Some(code(number).into()) { Ok(()) } else { Err(format!("child {number}: {status}")) }
}
