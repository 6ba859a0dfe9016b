// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions and commands to the checkpoint service.

use api::checkpoint::{self, Info};
use api::operator::{Reply, Request};

use super::{System, denied, nonsense};
use crate::Failure;
use crate::refusal::refusal;

impl System {
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
