// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests, passed on to the services that they are meant for.

use alloc::string::{String, ToString};

use api::Interface;
use api::checkpoint::Checkpoint;
use api::console::Console;
use api::operator::{Failure, Reply, Request, permitted};
use api::root::Root;
use api::succession::Succession;
use api::vmm::{self, Vmm};
use rt::ipc::{CallError, Client};
use rt::{Environment, Error, time};

/// Longest wait for an answer.
const PATIENCE_MS: u64 = 10_000;
/// The same for what moves much memory.
const LONG_PATIENCE_MS: u64 = 120_000;

/// The way to the other services.
pub struct Proxy(&'static Environment);

impl Proxy {
    pub fn new(environment: &'static Environment) -> Self {
        Self(environment)
    }

    /// Ask, and wait for the answer.
    pub fn ask(&self, request: Request) -> Reply {
        if !permitted(&request) {
            return Reply::Failed(Failure::NotPermitted);
        }
        let asked = match request {
            Request::Ping => Ok(Reply::Pong),
            Request::Root(request) => call::<Root>(Root::NAME, &request, PATIENCE_MS).map(Reply::Root),
            Request::Console(request) => {
                call::<Console>(Console::NAME, &request, PATIENCE_MS).map(Reply::Console)
            }
            Request::Checkpoint(request) => {
                call::<Checkpoint>(Checkpoint::NAME, &request, PATIENCE_MS).map(Reply::Checkpoint)
            }
            Request::Succession(request) => {
                call::<Succession>(Succession::NAME, &request, PATIENCE_MS).map(Reply::Succession)
            }
            Request::Vm(name, request) => self.vm(&name, &request).map(Reply::Vm),
        };
        asked.unwrap_or_else(Reply::Failed)
    }

    fn vm(&self, name: &str, request: &vmm::Request) -> Result<vmm::Reply, Failure> {
        if !self.0.vms.iter().any(|vm| vm.name == name) {
            return Err(Failure::Unknown(name.to_string()));
        }
        let patience = match request {
            vmm::Request::CheckpointCreate | vmm::Request::Restore { .. } | vmm::Request::Start => {
                LONG_PATIENCE_MS
            }
            _ => PATIENCE_MS,
        };
        call::<Vmm>(name, request, patience)
    }
}

fn call<I: Interface>(name: &str, request: &I::Request, patience_ms: u64) -> Result<I::Reply, Failure> {
    let whom = || String::from(name);
    let client = Client::<I>::named(name).ok_or_else(|| Failure::Unknown(whom()))?;
    client.call_until(request, time::after_ms(patience_ms)).map_err(|error| match error {
        CallError::Core(Error::TimedOut) => Failure::TimedOut(whom()),
        CallError::TooLong => Failure::NotPermitted,
        CallError::Core(_) | CallError::Refused | CallError::BadReply => Failure::Unavailable(whom()),
    })
}
