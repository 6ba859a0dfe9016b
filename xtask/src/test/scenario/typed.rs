// SPDX-License-Identifier: MIT OR Apache-2.0
//! What people type: the operator's tool itself, against a system that runs.
//!
//! Owns a table of command lines with the exit status and the words that each has to answer with. A
//! new subcommand, and a mistake that somebody made, gets a row. The layouts are tested in
//! `cli/tests`, against a peer that is no machine.

use crate::bare;
use crate::image::successor::{self, NEXT};
use crate::live::Live;
use crate::paths;
use crate::process;
use crate::qemu::{Machine, System};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The system: a VM with checkpoints, which can move to another hypervisor.
const SYSTEM: &str = "succession-checkpoints";
/// Seconds that one command may take on a busy host.
const LIMIT_S: &str = "240";
/// Longest time that a command may take beside watchers, on a busy host. It is far below a
/// watcher's own end.
const BESIDE: Duration = Duration::from_secs(20);

/// A command line (`IMAGE` stands for the successor's image), its exit status, and words of its
/// answer.
type Row = (&'static str, i32, &'static [&'static str]);

/// Before a succession.
const QUIET: &[Row] = &[
    ("ps", 0, &["heartbeat", "running", "console"]),
    ("list --vms", 0, &["heartbeat"]),
    ("--json ps", 0, &["\"heartbeat\"", "\"running\""]),
    ("inventory", 0, &["CPU", "heartbeat"]),
    ("log -n 5", 0, &["["]),
    ("help", 0, &["Usage:", "checkpoint"]),
    ("help checkpoint", 0, &["restore"]),
    ("top", 2, &["understudy ps"]),
    ("logs -n 1", 0, &["["]),
    ("frobnicate", 2, &["frobnicate"]),
    ("--json frobnicate", 2, &["{\"error\":", "\"code\":2"]),
    ("pause heartbeat", 0, &["VM 'heartbeat' paused"]),
    ("pause heartbeat", 1, &["VM 'heartbeat' is already paused"]),
    ("start heartbeat", 1, &["is paused", "understudy resume heartbeat"]),
    ("resume heartbeat", 0, &["VM 'heartbeat' resumed"]),
    ("resume heartbeat", 1, &["VM 'heartbeat' is already running"]),
    ("start heartbeat", 1, &["VM 'heartbeat' is already running"]),
    ("stop console", 1, &["'console' is a service, not a VM", "understudy restart console"]),
    ("stop nosuch", 1, &["there is no VM 'nosuch'", "understudy ps --vms"]),
    ("--json stop nosuch", 1, &["{\"error\":", "\"code\":1", "there is no VM 'nosuch'"]),
    ("stop heartbeat", 0, &["VM 'heartbeat' stopped"]),
    ("stop heartbeat", 1, &["VM 'heartbeat' is not running"]),
    ("resume heartbeat", 1, &["is not running", "understudy start heartbeat"]),
    ("start heartbeat", 0, &["VM 'heartbeat' started"]),
    ("console heartbeat --until beat --timeout 60", 0, &["beat"]),
    ("console heartbeat --until nosuchword --timeout 2", 1, &["'nosuchword' did not come within 2 s"]),
    ("checkpoint ls nosuch", 1, &["there is no VM 'nosuch'"]),
    ("checkpoint restore nosuch", 1, &["there is no VM 'nosuch'"]),
    ("checkpoint restore heartbeat", 1, &["no checkpoint", "understudy checkpoint create heartbeat"]),
    ("checkpoint create nosuch", 1, &["there is no VM 'nosuch'"]),
    ("checkpoint create heartbeat", 0, &["Checkpoint 1 of VM 'heartbeat' created"]),
    ("checkpoint create heartbeat", 0, &["Checkpoint 2 of"]),
    ("checkpoint restore heartbeat 1", 0, &["restored to checkpoint 1"]),
    ("checkpoint restore heartbeat 9", 1, &["has no checkpoint 9"]),
    ("checkpoint create heartbeat", 0, &["Checkpoint 3 of"]),
    ("checkpoint create heartbeat", 0, &["Checkpoint 4 of"]),
    (
        "checkpoint create heartbeat",
        1,
        &["VM 'heartbeat' has 4 checkpoints", "1, 2, 3, 4", "understudy checkpoint rm heartbeat 1"],
    ),
    ("checkpoint rm heartbeat 2 3 4", 0, &["Checkpoint 4 of VM 'heartbeat' removed"]),
    ("checkpoint ls heartbeat", 0, &["complete"]),
    // A console that starts again has forgotten what it kept.
    ("log --from operator", 0, &["command: stop heartbeat: done", "command: checkpoint rm 4: done"]),
    ("restart heartbeat", 1, &["'heartbeat' is a VM, not a service"]),
    ("restart nosuch", 1, &["there is no service 'nosuch'"]),
    ("restart console", 0, &["Service 'console' restarted"]),
    ("restart operator", 0, &["Service 'operator' restarted"]),
    ("ps", 0, &["operator"]),
    ("metrics", 0, &["understudy_vm_exits_total{vm=\"heartbeat\"}", "# EOF"]),
    ("poweroff", 2, &["--yes"]),
    ("succession status", 0, &["quiet"]),
    ("succession retire", 1, &["not ready"]),
    ("succession abort", 1, &["no succession"]),
    ("succession plan nosuch.usimage", 2, &["cannot read the image"]),
];

/// The order of the README: plan, start, retire.
const SUCCESSION: &[Row] = &[
    ("succession plan IMAGE", 0, &["0.2.0", "heartbeat"]),
    ("succession start", 0, &["heartbeat", "understudy succession retire"]),
    ("succession status", 0, &["ready", "0 completed"]),
    ("succession resources", 0, &["vm heartbeat"]),
    ("succession abort", 0, &["as before"]),
    ("succession start", 0, &["understudy succession retire"]),
    ("succession retire", 0, &["0.2.0", "has taken over from"]),
    ("succession status", 0, &["quiet", "1 completed", "0.2.0"]),
    ("ps", 0, &["heartbeat", "running"]),
    ("checkpoint restore heartbeat 1", 0, &["restored to checkpoint 1"]),
];

/// The tool, and the system that it is to talk to.
struct Tool {
    program: PathBuf,
    socket: PathBuf,
    image: String,
}

impl Tool {
    /// Builds the tool and the successor's image; `live` leaves the line to it.
    fn new(live: &mut Live) -> Result<Tool> {
        process::quiet(bare::host_cargo().args(["build", "-q", "-p", "understudy-cli"]))?;
        let image = successor::make(NEXT, SYSTEM)?.path.display().to_string();
        live.operator.close()?;
        Ok(Tool { program: paths::in_target("debug/understudy"), socket: live.line.socket.clone(), image })
    }

    /// The command that a line of words stands for.
    fn command(&self, typed: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", LIMIT_S]).arg(&self.program);
        command.args(typed.split(' ').map(|word| if word == "IMAGE" { &self.image } else { word }));
        command.env("UNDERSTUDY_CONNECT", &self.socket).env_remove("UNDERSTUDY_SECRET_FILE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Types a line; an error if it does not end and answer as the row says.
    fn types(&self, (typed, status, words): &Row) -> Result<()> {
        let output = self.command(typed).output().context("the tool does not start")?;
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        let said = said.concat();
        ensure!(
            output.status.code() == Some(*status),
            "`{typed}` ends with {}, not {status}:\n{said}",
            output.status
        );
        // A line that does not fit is broken between words.
        let joined = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in *words {
            ensure!(joined.contains(word), "`{typed}` does not say `{word}`:\n{said}");
        }
        // JSON is for programs, which have no columns.
        let wide = said.lines().find(|line| !typed.contains("--json") && wide(line));
        if let Some(line) = wide.filter(|_| !typed.starts_with("log") && !typed.starts_with("metrics")) {
            bail!("`{typed}` prints more than 80 columns:\n{line}");
        }
        Ok(())
    }
}

/// Whether a line does not fit a terminal. What is longer than the paths in it is not the tool's
/// fault.
fn wide(line: &str) -> bool {
    line.chars().count() > 80 && !line.contains('/')
}

/// The system, and the tool with the line to itself.
fn boot(machine: &Machine, iso: &Path, log: &Path) -> Result<(Live, Tool)> {
    let machine = Machine { system: System::Named(SYSTEM), cpus: 3, memory_mib: 512, ..machine.clone() };
    let mut live = Live::boot(machine, iso, log, &log.with_extension("run"), false)?;
    live.wait_line("root: ready")?;
    let tool = Tool::new(&mut live)?;
    Ok((live, tool))
}

/// Every row of the table, one after the other, on one boot.
pub fn what_people_type(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (mut live, tool) = boot(machine, iso, log)?;
    for row in QUIET.iter().chain(SUCCESSION) {
        tool.types(row)?;
        live.watch()?;
    }
    log_head(&tool)
}

/// A reader that has seen enough is no error.
fn log_head(tool: &Tool) -> Result<()> {
    let mut child = tool.command("log").spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("an output")?).read_line(&mut line)?;
    let output = child.wait_with_output()?;
    ensure!(output.stderr.is_empty(), "`log | head -1` says {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Watchers, which are ended when the value is dropped.
struct Watchers(Vec<Child>);

impl Watchers {
    /// One per line of words. Nobody reads what they print, as if their terminal had been stopped.
    fn new(tool: &Tool, typed: &[&str]) -> Result<Watchers> {
        let mut all = Watchers(Vec::new());
        for typed in typed {
            let mut child = tool.command(typed).stdin(Stdio::piped()).spawn()?;
            if let Some(input) = &mut child.stdin {
                input.flush()?;
            }
            all.0.push(child);
        }
        Ok(all)
    }

    /// All of them are still there.
    fn watch_on(&mut self) -> Result<()> {
        for child in &mut self.0 {
            if let Some(status) = child.try_wait()? {
                bail!("a watcher has ended ({status})");
            }
        }
        Ok(())
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Commands are carried out beside watchers: `start`, `abort`, `retire` among them.
pub fn side_by_side(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (mut live, tool) = boot(machine, iso, log)?;
    let mut watchers = Watchers::new(&tool, &["console heartbeat", "log -f", "log -f"])?;
    for _ in 0..5 {
        let begun = Instant::now();
        tool.types(&("ps", 0, &["heartbeat"]))?;
        ensure!(begun.elapsed() < BESIDE, "`ps` took {:?} beside watchers", begun.elapsed());
    }
    tool.types(&("succession plan IMAGE", 0, &["0.2.0"]))?;
    let mut looks_on = Watchers::new(&tool, &["succession status --watch"])?;
    // Without the image, which is there, and without a checkpoint, which is not.
    let told = |row: &&Row| !row.0.contains("plan") && !row.0.starts_with("checkpoint");
    for row in SUCCESSION.iter().filter(told) {
        tool.types(row)?;
        live.watch()?;
    }
    // Those who watch VM and log go on with the successor; who watched the succession has seen its
    // end.
    watchers.watch_on()?;
    looks_on.0.iter_mut().try_for_each(|child| {
        ensure!(child.wait()?.success(), "`succession status --watch` fails");
        Ok(())
    })
}
