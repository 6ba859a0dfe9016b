// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child programs: run one, quietly or not, and say what went wrong.
//!
//! Owns the rule that a step which succeeds prints one line and a step which fails prints
//! everything. Machines in the emulator are started by `qemu`, not here.

use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Announces a step that may take a while.
pub fn announce(area: &str, text: &str) {
    eprintln!("{area:>10}  {text}");
}

/// Runs `command` to its end; its output is shown only where it fails.
pub fn quiet(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_started(command))?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    bail!("`{}` failed ({})", shown(command), output.status)
}

/// Runs `command` with its output shown as it comes.
pub fn loud(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a long step: its output is shown as it comes on a terminal, and only where it fails
/// otherwise.
pub fn step(area: &str, text: &str, command: &mut Command) -> Result<()> {
    let start = Instant::now();
    announce(area, text);
    if std::io::stderr().is_terminal() {
        loud(command)?
    } else {
        quiet(command)?
    }
    let seconds = start.elapsed().as_secs_f64();
    if seconds > 2.0 {
        announce("", &format!("done in {seconds:.1} s"));
    }
    Ok(())
}

/// Runs cargo with its own output, on a terminal or not: a build of minutes shows each crate.
pub fn cargo(area: &str, text: &str, command: &mut Command) -> Result<()> {
    announce(area, text);
    loud(command)
}

/// What `command` prints, where it succeeds.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_started(command))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn not_started(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().to_string_lossy())
}

/// The file that `name` would start, where there is one in `PATH` or the system's folders for
/// programs.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}
