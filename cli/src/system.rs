// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions to a running system, and commands.

use api::console;
use api::operator::{self, Reply, Request};
use api::root::{self, Inventory, Process, Region};
use api::vmm::{self, Status};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::line::Line;
use crate::turn::Turns;

mod checkpoint;
mod succession;

/// Opens another session.
type WayBack = Box<dyn FnMut() -> Result<Line, Failure>>;

/// A running system.
pub struct System {
    /// The session; `None` after it was lost.
    line: Option<Line>,
    way_back: Option<WayBack>,
    patience: Duration,
    /// How often a session was opened again.
    returns: u32,
    /// Where the line is shared with other tools.
    turns: Option<Turns>,
}

/// How long it may take to open a session again that was given up for others.
const REOPENING: Duration = Duration::from_secs(20);
/// Between two attempts, and for the others to take their turn.
const BREATH: Duration = Duration::from_millis(50);
/// How long a system may be away before it is given up, where somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(90);

/// The answer is one that belongs to another question.
fn nonsense() -> Failure {
    Failure::refused("the answer makes no sense")
        .hint("Use the `understudy` that was built together with the system.")
}

fn denied(whom: &str) -> Failure {
    Failure::refused(format!("{whom} does not obey the operator"))
        .hint("The system's manifest has to list it under `controls` of the service `operator`.")
}

fn failed(failure: operator::Failure) -> Failure {
    use operator::Failure::{NotPermitted, TimedOut, Unavailable, Unknown};
    match failure {
        Unknown(name) => Failure::refused(format!("there is no `{name}`"))
            .hint("`understudy ps` lists what there is; the manifest says whom the operator may call."),
        Unavailable(name) => Failure::refused(format!("`{name}` does not answer"))
            .hint("It may be starting anew: try again, and see `understudy log`."),
        TimedOut(name) => Failure::refused(format!("`{name}` has not answered in time"))
            .hint("Whether it has done it is not known: see `understudy ps` and `understudy log`."),
        NotPermitted => Failure::refused("the operator may not ask that"),
    }
}

impl System {
    /// The system at the other end of a session.
    #[must_use]
    pub fn new(line: Line) -> Self {
        Self { line: Some(line), way_back: None, patience: PATIENCE, returns: 0, turns: None }
    }

    /// The same, with a way to open another session where this one is lost.
    #[must_use]
    pub fn with_way_back(self, way_back: impl FnMut() -> Result<Line, Failure> + 'static) -> Self {
        Self { way_back: Some(Box::new(way_back)), ..self }
    }

    /// The same, with another patience for a system that is away.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, on a line that is shared with other tools.
    #[must_use]
    pub fn with_turns(self, turns: Turns) -> Self {
        Self { turns: Some(turns), ..self }
    }

    /// From here on this tool watches and lets every command go first; or it commands.
    pub fn watch(&mut self, watching: bool) {
        if let Some(turns) = &self.turns {
            turns.watch(watching);
        }
    }

    /// Gives the line up until the next question. Before output that somebody may keep waiting, and
    /// before every rest.
    pub fn release(&mut self) {
        if self.turns.is_some() {
            self.line = None;
        }
    }

    /// Lets time pass without the line.
    pub fn rest(&mut self, time: Duration) {
        self.release();
        std::thread::sleep(time);
    }

    /// Between two steps of what takes long: commands that wait are let in.
    pub fn give_way(&mut self) {
        if self.turns.as_ref().is_some_and(Turns::is_wanted) {
            self.rest(BREATH);
        }
    }

    /// The session, opened again if it was lost or given up.
    fn line(&mut self) -> Result<&mut Line, Failure> {
        if self.line.is_none() {
            let lost = || Failure::unreachable("the session was lost").hint("Try again.");
            let way_back = self.way_back.as_mut().ok_or_else(lost)?;
            let shared = self.turns.is_some();
            let deadline = Instant::now() + REOPENING;
            let line = loop {
                match way_back() {
                    Ok(line) => break line,
                    Err(failure) if !shared || Instant::now() > deadline => return Err(failure),
                    Err(_) => std::thread::sleep(BREATH),
                }
            };
            self.returns += 1;
            self.line = Some(line);
        }
        self.line.as_mut().ok_or_else(nonsense)
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        match self.line()?.ask(request)? {
            Reply::Failed(failure) => Err(failed(failure)),
            reply => Ok(reply),
        }
    }

    /// Asks until somebody answers: the line, or what is looked at, may be changing hands. For
    /// questions alone, as they may be asked more than once.
    fn ask_until_answered(&mut self, request: &Request) -> Result<Reply, Failure> {
        let deadline = Instant::now() + self.patience;
        loop {
            let failure = match self.attempt(request) {
                Ok(Reply::Failed(operator::Failure::Unknown(name))) => {
                    return Err(failed(operator::Failure::Unknown(name)));
                }
                Ok(Reply::Failed(reason)) => failed(reason),
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if self.turns.is_none() || Instant::now() > deadline {
                return Err(failure);
            }
            self.rest(BREATH);
        }
    }

    fn root(&mut self, request: root::Request) -> Result<root::Reply, Failure> {
        match self.ask(&Request::Root(request))? {
            Reply::Root(root::Reply::Refused(why)) => Err(Failure::refused(why)),
            Reply::Root(root::Reply::Denied) => Err(denied("the root service")),
            Reply::Root(reply) => Ok(reply),
            _ => Err(nonsense()),
        }
    }

    /// Restarts a service. The one that carries the line takes the answer with it.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn restart(&mut self, service: &str) -> Result<(), Failure> {
        let request = Request::Root(root::Request::Restart(service.to_owned()));
        match self.attempt(&request) {
            Ok(Reply::Root(root::Reply::Done)) => Ok(()),
            Ok(Reply::Root(root::Reply::Refused(why))) => Err(Failure::refused(crate::text::plain(&why))),
            Ok(Reply::Root(root::Reply::Denied)) => Err(denied("the root service")),
            Ok(Reply::Failed(reason)) => Err(failed(reason)),
            Ok(_) => Err(nonsense()),
            Err(failure) if self.way_back.is_none() => Err(failure),
            Err(_) => Ok(()),
        }
    }

    /// Switches the machine off. Without an answer it is off.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn power_off(&mut self) -> Result<(), Failure> {
        match self.attempt(&Request::Root(root::Request::PowerOff)) {
            Ok(Reply::Root(root::Reply::Refused(why))) => Err(Failure::refused(crate::text::plain(&why))),
            Ok(Reply::Root(root::Reply::Denied)) => Err(denied("the root service")),
            Ok(Reply::Failed(reason)) => Err(failed(reason)),
            Ok(_) => Err(nonsense()),
            Err(_) => Ok(()),
        }
    }

    /// All partitions.
    ///
    /// # Errors
    /// As the system says, here and everywhere below.
    pub fn partitions(&mut self) -> Result<Vec<Process>, Failure> {
        let mut all = Vec::new();
        loop {
            match self.root(root::Request::Ps(all.len() as u32))? {
                root::Reply::Ps(part) if part.is_empty() => return Ok(all),
                root::Reply::Ps(part) => all.extend(part),
                _ => return Err(nonsense()),
            }
        }
    }

    /// The machine.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn inventory(&mut self) -> Result<Inventory, Failure> {
        match self.root(root::Request::Inventory)? {
            root::Reply::Inventory(inventory) => Ok(inventory),
            _ => Err(nonsense()),
        }
    }

    /// All memory regions.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn regions(&mut self) -> Result<Vec<Region>, Failure> {
        let mut all = Vec::new();
        loop {
            match self.root(root::Request::Regions(all.len() as u32))? {
                root::Reply::Regions(part) if part.is_empty() => return Ok(all),
                root::Reply::Regions(part) => all.extend(part),
                _ => return Err(nonsense()),
            }
        }
    }

    /// The log from a place on: place of the first byte, and bytes.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn log(&mut self, cursor: u64) -> Result<(u64, Vec<u8>), Failure> {
        match self.ask_until_answered(&Request::Console(console::Request::Read { cursor }))? {
            Reply::Console(console::Reply::Log { start, bytes }) => Ok((start, bytes)),
            Reply::Console(console::Reply::Denied) => Err(denied("the console service")),
            _ => Err(nonsense()),
        }
    }

    fn vm(&mut self, vm: &str, request: vmm::Request) -> Result<vmm::Reply, Failure> {
        let answer = match self.ask(&Request::Vm(vm.to_owned(), request)) {
            Err(failure) if failure.code() == 1 => return Err(self.no_vm(vm).unwrap_or(failure)),
            answer => answer?,
        };
        match answer {
            Reply::Vm(vmm::Reply::Refused(why)) => Err(Failure::refused(format!("{vm}: {why}"))),
            Reply::Vm(vmm::Reply::Denied) => Err(denied(vm)),
            Reply::Vm(reply) => Ok(reply),
            _ => Err(nonsense()),
        }
    }

    /// Why this name is not one of a VM; `None` if it is one.
    fn no_vm(&mut self, name: &str) -> Option<Failure> {
        let shown = crate::text::plain(name);
        match self.partitions().ok()?.iter().find(|process| process.name == name) {
            Some(process) if process.is_vm => None,
            Some(_) => Some(
                Failure::refused(format!("'{shown}' is a service, not a VM"))
                    .hint(format!("`understudy restart {shown}` restarts a service.")),
            ),
            None => Some(
                Failure::refused(format!("there is no VM '{shown}'"))
                    .hint("`understudy ps --vms` lists them."),
            ),
        }
    }

    /// An error if this name is not one of a VM.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn expect_vm(&mut self, name: &str) -> Result<(), Failure> {
        self.no_vm(name).map_or(Ok(()), Err)
    }

    /// How a VM is.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn status(&mut self, vm: &str) -> Result<Status, Failure> {
        match self.vm(vm, vmm::Request::Status)? {
            vmm::Reply::Status(status) => Ok(status),
            _ => Err(nonsense()),
        }
    }

    /// Tell a VM to pause, resume, stop, start or restore.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn command(&mut self, vm: &str, request: vmm::Request) -> Result<(), Failure> {
        match self.vm(vm, request)? {
            vmm::Reply::Done | vmm::Reply::Checkpoint { .. } => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// Output of a VM from a place on: place of the first byte, and bytes.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn console_read(&mut self, vm: &str, cursor: u64) -> Result<(u64, Vec<u8>), Failure> {
        match self.ask_until_answered(&Request::Vm(vm.to_owned(), vmm::Request::ConsoleRead { cursor }))? {
            Reply::Vm(vmm::Reply::Console { start, bytes }) => Ok((start, bytes)),
            Reply::Vm(vmm::Reply::Denied) => Err(denied(vm)),
            _ => Err(nonsense()),
        }
    }

    /// Type on the console of a VM; how many bytes it took.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn console_write(&mut self, vm: &str, bytes: &[u8]) -> Result<usize, Failure> {
        match self.vm(vm, vmm::Request::ConsoleWrite(bytes.to_vec()))? {
            vmm::Reply::Taken(count) => Ok((count as usize).min(bytes.len())),
            _ => Err(nonsense()),
        }
    }

    /// Create a checkpoint: its id. It is not complete yet.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn create(&mut self, vm: &str) -> Result<u64, Failure> {
        match self.vm(vm, vmm::Request::CheckpointCreate)? {
            vmm::Reply::Checkpoint { id } => Ok(id),
            _ => Err(nonsense()),
        }
    }
}
