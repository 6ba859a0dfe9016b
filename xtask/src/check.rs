// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask check`: format, clippy, warnings of the bare-metal build, house lints, rustdoc.

use crate::bare::{self, Route};
use crate::image::edition::Edition;
use crate::lint::{LINTS, Lint};
use crate::packages::{self, Kind, Package};
use crate::process;
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A named check.
pub struct Check {
    /// Its name.
    pub name: String,
    run: Box<dyn Fn() -> Result<()>>,
}

impl Check {
    fn new(name: &str, run: impl Fn() -> Result<()> + 'static) -> Check {
        Check { name: name.to_owned(), run: Box::new(run) }
    }

    /// Runs it; the error says what was found.
    pub fn run(&self) -> Result<()> {
        (self.run)()
    }
}

/// All checks, the quick ones first.
pub fn checks() -> Vec<Check> {
    let lint = |lint: &'static Lint| Check::new(&format!("lint-{}", lint.name), move || lint.run());
    let mut checks = vec![Check::new("format", format)];
    checks.extend(LINTS.iter().map(lint));
    checks.push(Check::new("clippy", clippy));
    checks.push(Check::new("warnings-bare", warnings_bare));
    checks.push(Check::new("rustdoc", rustdoc));
    checks
}

/// The command: all checks, each on one line.
pub fn run() -> Result<ExitCode> {
    crate::setup::ensure()?;
    let mut failed = 0;
    for check in checks() {
        let start = Instant::now();
        let result = check.run();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("ok      {:<40} {seconds:6.1} s", check.name),
            Err(error) => {
                println!("FAILED  {:<40} {seconds:6.1} s", check.name);
                println!("{error:#}");
                failed += 1;
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn format() -> Result<()> {
    captured(bare::host_cargo().args(["fmt", "--all", "--check"]))
}

/// Packages whose libraries and tests build on the host.
pub fn host_packages() -> Result<Vec<Package>> {
    let on_host = |package: &Package| match package.kind {
        Kind::LinuxGuest => true,
        Kind::Guest => false,
        _ => package.default_member || package.tested_library,
    };
    Ok(packages::all()?.into_iter().filter(on_host).collect())
}

fn clippy() -> Result<()> {
    let mut command = bare::host_cargo();
    command.args(["clippy", "--quiet", "--keep-going", "--all-targets"]);
    for package in host_packages()? {
        command.args(["-p", &package.name]);
    }
    captured(command.args(["--", "-D", "warnings"]))
}

/// The bare-metal build has to be free of warnings. Cargo repeats those of crates that it need not
/// build again.
fn warnings_bare() -> Result<()> {
    let mut command = Route::require()?.cargo("build");
    command.arg("--release").args(["--message-format", "short"]);
    for package in packages::all()?.iter().filter(|package| package.is_bare_program()) {
        command.args(["-p", &package.name]);
    }
    Edition::current()?.tell(&mut command, core::iter::empty())?;
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_finding = |line: &&str| [": warning:", "error:", "error["].iter().any(|word| line.contains(word));
    let findings: Vec<&str> = text.lines().filter(is_finding).collect();
    if !output.status.success() || !findings.is_empty() {
        bail!("{} finding(s)\n  {}", findings.len(), findings.join("\n  "));
    }
    Ok(())
}

/// Links to private items lead somewhere: the pages are built with them.
const RUSTDOC_FLAGS: &str = "-D warnings -A rustdoc::private-intra-doc-links";

fn rustdoc() -> Result<()> {
    let mut command = bare::host_cargo();
    command
        .args(["doc", "--quiet", "--no-deps", "--document-private-items", "--lib"])
        .env("RUSTDOCFLAGS", RUSTDOC_FLAGS);
    for package in host_packages()?.iter().filter(|package| package.library) {
        command.args(["-p", &package.name]);
    }
    captured(&mut command)
}

/// Runs a command; what it printed becomes the error.
fn captured(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    bail!("`{}`\n{}", process::shown(command), String::from_utf8_lossy(&text).trim_end())
}
