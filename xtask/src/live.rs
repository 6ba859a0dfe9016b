// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole system that runs, with the operator's session open: what demos and scenario tests are
//! written with.
//!
//! Everything waits for something to be said, with a deadline that leaves out the time for which
//! the host kept the machine waiting; nothing waits for time to pass. The end of the machine, or a
//! panic of its core, ends every wait.

use crate::evidence::Beat;
use crate::operator::{Line, Operator, VmConsole};
use crate::paths;
use crate::qemu::{Deadline, Event, Machine, Running};
use anyhow::{Result, bail};
use api::root::{Process, Reply, Request};
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time limit of one wait. Generous: everything is emulated, and the developer's machine may be
/// busy.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Time limit of a whole scenario.
const WHOLE: Duration = Duration::from_secs(900);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at a succession.
const PACE: Duration = Duration::from_millis(100);
/// What the core says when it stops.
pub const CORE_PANIC: &str = "core: panic";
/// The VM that beats and says whether it was disturbed.
pub const HEARTBEAT: &str = "heartbeat";

/// The system.
pub struct Live {
    /// The operator's session.
    pub operator: Operator,
    /// The operator's line, for further sessions.
    pub line: Line,
    /// How long a succession is left alone between two looks at it.
    pub pace: Duration,
    running: Running,
    /// When a scenario has to be at its end.
    end: Deadline,
    verbose: bool,
    /// Lines of the machine's console that nobody has waited for yet.
    said: VecDeque<String>,
}

impl Live {
    /// Boots `machine` and opens the operator's session; `folder` gets its socket and secret.
    pub fn boot(mut machine: Machine, iso: &Path, log: &Path, folder: &Path, verbose: bool) -> Result<Live> {
        let line = Line::prepare(folder)?;
        machine.options = format!("{} {}", line.option(), machine.options).trim_end().to_owned();
        machine.operator_socket = Some(line.socket.clone());
        let mut running = machine.start(iso, log)?;
        let deadline = running.deadline(PATIENCE);
        let mut said = VecDeque::new();
        loop {
            watch(&mut running, verbose, &mut said)?;
            if let Ok(operator) = line.connect(Duration::ZERO) {
                let end = running.deadline(WHOLE);
                return Ok(Live { operator, line, pace: PACE, running, end, verbose, said });
            }
            if running.is_late(&deadline) {
                bail!("the operator service does not answer; see {}", paths::shown(running.log()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Gives the scenario so much time from now on.
    pub fn allow(&mut self, time: Duration) {
        self.end = self.running.deadline(time);
    }

    /// Takes note of what the machine's console says; an error if the machine is gone.
    pub fn watch(&mut self) -> Result<()> {
        watch(&mut self.running, self.verbose, &mut self.said)
    }

    /// Repeats `look` until it finds something.
    pub fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&mut Live) -> Result<Option<T>>) -> Result<T> {
        let deadline = self.running.deadline(PATIENCE);
        loop {
            self.watch()?;
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if self.running.is_late(&deadline) || self.running.is_late(&self.end) {
                bail!("{what}: not within {} s of waiting, {} s in all", PATIENCE.as_secs(), WHOLE.as_secs());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Passes over what the machine's console said so far.
    pub fn pass_over_lines(&mut self) -> Result<()> {
        self.watch()?;
        self.said.clear();
        Ok(())
    }

    /// Waits for a line of the machine's console that contains `pattern`; what was said before it
    /// is passed over.
    pub fn wait_line(&mut self, pattern: &str) -> Result<String> {
        self.wait(&format!("the machine says `{pattern}`"), |live| {
            while let Some(line) = live.said.pop_front() {
                if line.contains(pattern) {
                    return Ok(Some(line));
                }
            }
            Ok(None)
        })
    }

    /// Waits for a line of a VM's console that contains `pattern`.
    pub fn wait_guest(&mut self, console: &mut VmConsole, pattern: &str) -> Result<String> {
        self.wait(&format!("the guest says `{pattern}`"), |live| {
            while let Some(line) = console.next_line(&mut live.operator)? {
                if live.verbose {
                    println!("     guest | {line}");
                }
                if line.contains(pattern) {
                    return Ok(Some(line));
                }
            }
            Ok(None)
        })
    }

    /// Passes over what a VM's console said so far; the last of those lines that contains
    /// `pattern`.
    pub fn pass_over_guest(&mut self, console: &mut VmConsole, pattern: &str) -> Result<Option<String>> {
        let mut last = None;
        while let Some(line) = console.next_line(&mut self.operator)? {
            last = Some(line).filter(|line| line.contains(pattern)).or(last);
        }
        Ok(last)
    }

    /// Types on a VM's console.
    pub fn guest_types(&mut self, console: &VmConsole, text: &str) -> Result<()> {
        console.write(&mut self.operator, text)
    }

    /// What the heartbeat VM says of itself once it has come beyond beat number `beat`. Beats only
    /// grow within a life of the VM, so the newest one tells all.
    pub fn beat_after(&mut self, beat: u64) -> Result<Beat> {
        let mut console = VmConsole::of(HEARTBEAT);
        self.wait("the heartbeat goes on", |live| {
            let mut last = None;
            while let Some(line) = console.next_line(&mut live.operator)? {
                last = Beat::parse(&line).or(last);
            }
            Ok(last.filter(|last| last.beat > beat))
        })
    }

    /// Opens a new session, as after the operator service was started anew.
    pub fn reconnect(&mut self) -> Result<()> {
        // The emulator's socket serves one peer at a time, and keeps the next one waiting.
        let _ = self.operator.close();
        self.operator = self.line.connect(PATIENCE)?;
        Ok(())
    }

    /// Ticks of the TSC per millisecond.
    pub fn tsc_khz(&mut self) -> Result<u64> {
        match self.operator.ask_root(Request::Inventory)? {
            Reply::Inventory(inventory) => Ok(inventory.tsc_khz),
            other => bail!("root: {other:?}"),
        }
    }

    /// The partition of this name, as the root service sees it.
    pub fn process(&mut self, name: &str) -> Result<Process> {
        let mut from = 0;
        loop {
            let reply = self.operator.ask_root(Request::Ps(from))?;
            let Reply::Ps(processes) = reply else { bail!("root: {reply:?}") };
            if processes.is_empty() {
                bail!("there is no partition `{name}`");
            }
            from += u32::try_from(processes.len())?;
            if let Some(process) = processes.into_iter().find(|process| process.name == name) {
                return Ok(process);
            }
        }
    }
}

fn watch(running: &mut Running, verbose: bool, said: &mut VecDeque<String>) -> Result<()> {
    loop {
        match running.next(Instant::now())? {
            Event::Line(line) if line.contains(CORE_PANIC) => bail!("the core stopped: {line}"),
            Event::Line(line) => {
                if verbose {
                    println!("           | {line}");
                }
                said.push_back(line);
            }
            Event::Ended(status) => {
                bail!("the machine ended ({status}); see {}", paths::shown(running.log()))
            }
            Event::TimedOut => return Ok(()),
        }
    }
}
