// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine in the emulator: its description, and the running program with its serial console.
//!
//! Owns QEMU's command line and the life of the child: it is ended when the value is dropped. Line
//! patterns are waited for with a time limit; the whole console is kept in a file. What the lines
//! mean is the caller's affair.

use crate::image::iso;
use crate::process;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use std::time::Instant;

/// Exit status of QEMU after the guest wrote 0x10 to the debug exit port: the test passed.
pub const PASSED: i32 = 33;

/// OVMF as one file, from Debian's package `ovmf`.
pub const UEFI_FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";

/// What boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `services/system.toml`.
    Default,
    /// The system of this name in `tests/manifests`.
    Named(&'static str),
    /// The test suite as the root service.
    Suite,
}

/// The description of a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What boots.
    pub system: System,
    /// The core's command line.
    pub options: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// QEMU's CPU model with its flags.
    pub cpu: String,
    /// Boot by UEFI instead of BIOS.
    pub uefi: bool,
    /// Count instructions: virtual time advances by them alone.
    pub icount: bool,
    /// A Unix socket that is to be the second serial line.
    pub operator_socket: Option<PathBuf>,
    /// More arguments for QEMU.
    pub extra: Vec<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            system: System::Default,
            options: String::new(),
            cpus: 4,
            memory_mib: 2048,
            cpu: "max".to_owned(),
            uefi: false,
            icount: false,
            operator_socket: None,
            extra: Vec::new(),
        }
    }
}

impl Machine {
    /// QEMU with all arguments but the first serial line.
    pub fn command(&self, iso: &Path) -> Command {
        let mut command = emulator();
        command.args(["-machine", "q35", "-accel", "tcg"]);
        command.args(["-display", "none", "-nodefaults", "-no-reboot"]);
        command.args(["-smp", &self.cpus.to_string(), "-m", &format!("{}M", self.memory_mib)]);
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        if self.icount {
            command.args(["-icount", "shift=0,sleep=off", "-seed", "1"]);
            command.args(["-rtc", "base=2020-01-01T00:00:00,clock=vm"]);
            command.args(["-cpu", &format!("{},-rdrand,-rdseed", self.cpu)]);
        } else {
            command.args(["-cpu", &self.cpu]);
        }
        if self.uefi {
            command.args(["-bios", UEFI_FIRMWARE]);
        }
        command.args(["-smbios", &self.smbios()]).arg("-cdrom").arg(iso);
        command.args(&self.extra);
        command
    }

    /// Adds the operator's line; it has to come after the first serial line.
    pub fn add_operator_line(&self, command: &mut Command) {
        if let Some(socket) = &self.operator_socket {
            let _ = std::fs::remove_file(socket);
            command.args(["-serial", &format!("unix:{},server=on,wait=off", socket.display())]);
            // The console of a carve-out.
            command.arg("-serial").arg(format!("file:{}", socket.with_extension("spare.log").display()));
        }
    }

    fn smbios(&self) -> String {
        let family = match self.system {
            System::Default => iso::SYSTEM.to_owned(),
            System::Named(name) => format!("{}-{name}", iso::SYSTEM),
            System::Suite => iso::SUITE.to_owned(),
        };
        let options = self.options.replace(',', ",,");
        if options.is_empty() {
            format!("type=1,family={family}")
        } else {
            format!("type=1,family={family},sku={options}")
        }
    }

    /// Starts the machine; its console is copied to `log`.
    pub fn start(&self, iso: &Path, log: &Path) -> Result<Running> {
        let mut command = self.command(iso);
        command.args(["-monitor", "none", "-serial", "stdio"]);
        self.add_operator_line(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child =
            command.spawn().context("cannot start qemu-system-x86_64; `cargo xtask setup` installs it")?;
        let console = child.stdout.take().context("QEMU has a console")?;
        let errors = child.stderr.take().context("QEMU has an error output")?;
        let (sender, lines) = mpsc::channel();
        let copy = sender.clone();
        std::thread::spawn(move || pump(console, file, &sender));
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let _ = copy.send(format!("qemu: {line}"));
            }
        });
        Ok(Running { child, lines, started: Instant::now(), log: log.to_owned() })
    }
}

/// QEMU, which ends when this program does, however that ends.
fn emulator() -> Command {
    const QEMU: &str = "qemu-system-x86_64";
    if process::find("setpriv").is_none() {
        return Command::new(QEMU);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", QEMU]);
    command
}

/// Copies the console to the log, byte by byte, and to the channel, line by line.
fn pump(console: impl std::io::Read, mut log: File, lines: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(console);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let _ = log.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        let _ = lines.send(line.trim_end_matches(['\n', '\r']).to_owned());
        bytes.clear();
    }
}

/// A machine that runs.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    started: Instant,
    log: PathBuf,
}

/// What came next from a machine.
#[derive(Debug)]
pub enum Event {
    /// A line on its console.
    Line(String),
    /// It ended.
    Ended(ExitStatus),
    /// Nothing until the deadline.
    TimedOut,
}

/// A time limit that counts the machine's own time only: what the host keeps it waiting is added.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
    /// How long the machine had been kept waiting at the start.
    held: Duration,
}

impl Deadline {
    /// How much is left, where the machine has been kept waiting for `held` in all.
    fn left(&self, held: Duration) -> Duration {
        // However slow the host: a machine that does nothing is given up some time.
        let grace = held.saturating_sub(self.held).min(self.limit * MOST_GRACE);
        (self.limit + grace).saturating_sub(self.start.elapsed())
    }
}

/// Most that the host's load adds to a limit, in multiples of it.
const MOST_GRACE: u32 = 4;

impl Running {
    /// A limit that begins now.
    pub fn deadline(&self, limit: Duration) -> Deadline {
        Deadline { start: Instant::now(), limit, held: self.held() }
    }

    /// Whether it has passed.
    pub fn is_late(&self, deadline: &Deadline) -> bool {
        deadline.left(self.held()).is_zero()
    }

    /// The next line within the limit, or the end.
    pub fn next_within(&mut self, deadline: &Deadline) -> Result<Event> {
        loop {
            let event = self.next(Instant::now() + deadline.left(self.held()))?;
            if !matches!(event, Event::TimedOut) || self.is_late(deadline) {
                return Ok(event);
            }
        }
    }

    /// How long the emulator was ready to run and had no CPU of the host: the most among its
    /// threads, as Linux counts it (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat).
    /// Zero where the host does not count it.
    fn held(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten();
        let waited = tasks.flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            run_delay(&text)
        });
        Duration::from_nanos(waited.max().unwrap_or(0))
    }

    /// The next line, or the end.
    pub fn next(&mut self, deadline: Instant) -> Result<Event> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(Event::Line(line)),
            Err(RecvTimeoutError::Timeout) => Ok(Event::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(Event::Ended(self.child.wait()?)),
        }
    }

    /// How long it runs.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The file with its whole console.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

/// The second number of a schedstat: nanoseconds on the run queue without a CPU.
fn run_delay(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_run_queue_is_read() {
        assert_eq!(run_delay("12 3471231 1\n"), Some(3_471_231));
        assert_eq!(run_delay(""), None);
    }

    #[test]
    fn what_the_host_keeps_a_machine_waiting_is_added_up_to_a_bound() {
        let second = Duration::from_secs(1);
        let start = Instant::now().checked_sub(2 * second).expect("the clock is older");
        let deadline = Deadline { start, limit: second, held: second };
        assert!(deadline.left(second).is_zero());
        assert!(deadline.left(4 * second) > second);
        assert!(deadline.left(1000 * second) <= 3 * second);
    }
}
