// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: everything that tests the system, each test named on one line.
//!
//! Owns the order, the names, the filter and the sum. The parts: `check` (format, lints), `host`
//! (cargo tests), `boot` (tests in the emulator, listed in `table`).

mod boot;
mod host;
mod lines;
mod outcome;
mod scenario;
mod similar;
pub mod suite;
mod table;

use crate::check;
use crate::image::{self, Scope};
use crate::setup;
use anyhow::Result;
use clap::Args;
use outcome::Outcome;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// Only tests whose name contains one of these words
    names: Vec<String>,
    /// Show the names and run nothing
    #[arg(long)]
    list: bool,
    /// Also the long runs
    #[arg(long)]
    long: bool,
    /// Machines that run at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

impl Options {
    fn selects(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|word| name.contains(word.as_str()))
    }
}

/// The sum of all outcomes.
#[derive(Default)]
struct Sum {
    passed: usize,
    failed: usize,
    names: Vec<String>,
    times: Vec<(Duration, String)>,
}

/// How many of the slowest tests the sum names.
const SLOWEST: usize = 5;

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        outcome.show();
        self.passed += outcome.passed;
        self.failed += outcome.failed;
        self.times.push((outcome.time, outcome.name.clone()));
        if outcome.failed > 0 {
            self.names.push(outcome.name.clone());
        }
    }
}

impl Sum {
    /// The tests that took longest, where there are more of them than that.
    fn slowest(&mut self) -> Option<String> {
        self.times.sort_unstable_by(|one, other| other.cmp(one));
        let shown = |(time, name): &(Duration, String)| format!("{name} {:.0} s", time.as_secs_f64());
        let slowest: Vec<String> = self.times.iter().take(SLOWEST).map(shown).collect();
        (self.times.len() > SLOWEST).then(|| slowest.join(", "))
    }
}

fn names<'a>(
    checks: &'a [check::Check],
    hosts: &'a [host::Group],
    boots: &'a [table::BootTest],
) -> impl Iterator<Item = &'a str> {
    let checks = checks.iter().map(|check| check.name.as_str());
    let hosts = hosts.iter().map(|group| group.name.as_str());
    checks.chain(hosts).chain(boots.iter().map(|test| test.name.as_str()))
}

/// Says which words select nothing, with the names most like them; the exit code is that of wrong
/// usage.
fn unknown(options: &Options) -> Result<ExitCode> {
    let (checks, hosts, boots) = (check::checks(), host::groups(options.long)?, table::tests(options.long)?);
    let all: Vec<&str> = names(&checks, &hosts, &boots).collect();
    for word in options.names.iter().filter(|word| !all.iter().any(|name| name.contains(word.as_str()))) {
        eprintln!("error: no test has `{word}` in its name");
        let like = similar::most_like(word, &all);
        if !like.is_empty() {
            eprintln!("  similar: {}", like.join(", "));
        }
    }
    eprintln!("  `cargo xtask test --list` prints all names");
    Ok(ExitCode::from(2))
}

/// Runs what is selected; the last line is the sum.
pub fn run(options: &Options) -> Result<ExitCode> {
    let boots: Vec<table::BootTest> =
        table::tests(options.long)?.into_iter().filter(|test| options.selects(&test.name)).collect();
    let hosts: Vec<host::Group> =
        host::groups(options.long)?.into_iter().filter(|group| options.selects(&group.name)).collect();
    let checks: Vec<check::Check> =
        check::checks().into_iter().filter(|check| options.selects(&check.name)).collect();
    let found: Vec<&str> = names(&checks, &hosts, &boots).collect();
    if options.names.iter().any(|word| !found.iter().any(|name| name.contains(word.as_str()))) {
        return unknown(options);
    }
    if options.list {
        checks.iter().for_each(|check| println!("{}", check.name));
        hosts.iter().for_each(|group| println!("{}", group.name));
        boots.iter().for_each(|test| println!("{}", test.name));
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure()?;
    let mut sum = Sum::default();
    for check in &checks {
        let start = Instant::now();
        sum.add(&Outcome::of(&check.name, start, check.run()));
    }
    host::build(&hosts);
    for group in &hosts {
        sum.add(&group.run());
    }
    if !boots.is_empty() {
        image::edition::inject_faults();
        boot_tests(&boots, options.jobs, &mut sum);
    }
    if let Some(slowest) = sum.slowest() {
        println!("\nslowest: {slowest}");
    }
    if !sum.names.is_empty() {
        println!("\nfailed: {}", sum.names.join(", "));
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn boot_tests(tests: &[table::BootTest], jobs: usize, sum: &mut Sum) {
    let start = Instant::now();
    let scope = if tests.iter().all(|test| test.is_of_suite()) { Scope::Suite } else { Scope::Everything };
    match image::build(scope) {
        Ok(iso) => boot::run_all(tests, &iso, jobs, |outcome| sum.add(&outcome)),
        Err(error) => sum.add(&Outcome {
            name: "image (all boot tests need it)".to_owned(),
            passed: 0,
            failed: tests.len(),
            time: start.elapsed(),
            detail: format!("{error:#}"),
        }),
    }
}
