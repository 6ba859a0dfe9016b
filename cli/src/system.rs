// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions to a running system, and commands.

use api::checkpoint::{self, Info, Refusal};
use api::console;
use api::operator::{self, Reply, Request};
use api::root::{self, Inventory, Process, Region};
use api::vmm::{self, Status};
use std::time::Duration;

use crate::Failure;
use crate::line::Line;

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
}

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

fn refusal(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::QuotaExhausted => Failure::refused("the VM has as many checkpoints as it may have")
            .hint("Remove one with `understudy checkpoint rm`."),
        Refusal::StoreFull => Failure::refused("the page store is full; the VM goes on without the checkpoint")
            .hint("Remove checkpoints with `understudy checkpoint rm`, or give the store more memory in the manifest."),
        Refusal::Busy => Failure::refused("another checkpoint of the VM is being made or restored").hint("Try again."),
        Refusal::NoCheckpoint => {
            Failure::refused("there is no such checkpoint").hint("`understudy checkpoint ls` lists what there is.")
        }
        Refusal::NotComplete => Failure::refused("the checkpoint is not complete")
            .hint("See `understudy checkpoint ls`; while it is being copied, try again."),
        Refusal::BadPart => Failure::refused("the VM's state does not fit the checkpoint"),
        Refusal::Core(number) => match abi::error::Error::from_status(number) {
            Err(error) => Failure::refused(format!("the core refused: {error:?}")),
            Ok(()) => Failure::refused("the core refused"),
        },
    }
}

/// Why a checkpoint came to nothing.
#[must_use]
pub fn why(reason: Refusal) -> String {
    refusal(reason).what().to_owned()
}

impl System {
    /// The system at the other end of a session.
    #[must_use]
    pub fn new(line: Line) -> Self {
        Self { line: Some(line), way_back: None, patience: PATIENCE, returns: 0 }
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

    /// The session, opened again if it was lost.
    fn line(&mut self) -> Result<&mut Line, Failure> {
        if self.line.is_none() {
            let lost = || Failure::unreachable("the session was lost").hint("Try again.");
            let line = self.way_back.as_mut().ok_or_else(lost)?()?;
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

    fn root(&mut self, request: root::Request) -> Result<root::Reply, Failure> {
        match self.ask(&Request::Root(request))? {
            Reply::Root(root::Reply::Refused(why)) => Err(Failure::refused(why)),
            Reply::Root(root::Reply::Denied) => Err(denied("the root service")),
            Reply::Root(reply) => Ok(reply),
            _ => Err(nonsense()),
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
        match self.ask(&Request::Console(console::Request::Read { cursor }))? {
            Reply::Console(console::Reply::Log { start, bytes }) => Ok((start, bytes)),
            Reply::Console(console::Reply::Denied) => Err(denied("the console service")),
            _ => Err(nonsense()),
        }
    }

    fn vm(&mut self, vm: &str, request: vmm::Request) -> Result<vmm::Reply, Failure> {
        match self.ask(&Request::Vm(vm.to_owned(), request))? {
            Reply::Vm(vmm::Reply::Refused(why)) => Err(Failure::refused(format!("{vm}: {why}"))),
            Reply::Vm(vmm::Reply::Denied) => Err(denied(vm)),
            Reply::Vm(reply) => Ok(reply),
            _ => Err(nonsense()),
        }
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
        match self.vm(vm, vmm::Request::ConsoleRead { cursor })? {
            vmm::Reply::Console { start, bytes } => Ok((start, bytes)),
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

    fn checkpoint(&mut self, request: checkpoint::Request) -> Result<checkpoint::Reply, Failure> {
        match self.ask(&Request::Checkpoint(request))? {
            Reply::Checkpoint(checkpoint::Reply::Refused(reason)) => Err(refusal(reason)),
            Reply::Checkpoint(checkpoint::Reply::Denied) => Err(denied("the checkpoint service")),
            Reply::Checkpoint(reply) => Ok(reply),
            _ => Err(nonsense()),
        }
    }

    /// All checkpoints from an id on, in the order of their ids.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn checkpoints(&mut self, mut from: u64) -> Result<Vec<Info>, Failure> {
        let mut all: Vec<Info> = Vec::new();
        loop {
            match self.checkpoint(checkpoint::Request::List { from })? {
                checkpoint::Reply::List(part) => match part.last() {
                    None => return Ok(all),
                    Some(last) if last.id < from => return Err(nonsense()),
                    Some(last) => {
                        let next = last.id.checked_add(1);
                        all.extend(part);
                        let Some(next) = next else { return Ok(all) };
                        from = next;
                    }
                },
                _ => return Err(nonsense()),
            }
        }
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn find(&mut self, vm: &str, id: u64) -> Result<Info, Failure> {
        let found = match self.checkpoint(checkpoint::Request::List { from: id })? {
            checkpoint::Reply::List(part) => part.into_iter().next(),
            _ => return Err(nonsense()),
        };
        match found {
            Some(info) if info.id == id && info.vm == vm => Ok(info),
            Some(info) if info.id == id => {
                Err(Failure::refused(format!("checkpoint {id} is one of {}, not of {vm}", info.vm)))
            }
            _ => Err(Failure::refused(format!("{vm} has no checkpoint {id}"))
                .hint(format!("`understudy checkpoint ls {vm}` lists those it has."))),
        }
    }

    /// Remove a checkpoint.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn remove(&mut self, id: u64) -> Result<(), Failure> {
        match self.checkpoint(checkpoint::Request::Remove { id })? {
            checkpoint::Reply::Done => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// How full the page store is.
    ///
    /// # Errors
    /// See [`System::partitions`].
    pub fn store(&mut self) -> Result<checkpoint::StoreInfo, Failure> {
        match self.checkpoint(checkpoint::Request::Store)? {
            checkpoint::Reply::Store(store) => Ok(store),
            _ => Err(nonsense()),
        }
    }
}
