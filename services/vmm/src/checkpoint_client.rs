// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checkpoint service as the monitor calls it.
//!
//! Owns the cutting of the typed state into messages and the meaning of refusals. A service that is
//! not there, or does not answer in time, costs the checkpoint and not the VM.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use api::checkpoint::{Checkpoint, MAX_PART, MAX_STATE, Refusal, Reply, Request, Stage};
use rt::ipc::{CallError, Client};
use rt::time;
use vmm::machine::CheckpointError;

/// Longest wait for an answer that takes no copying.
const PATIENCE_MS: u64 = 5_000;
/// Longest wait for guest memory to be restored.
const RESTORE_PATIENCE_MS: u64 = 120_000;

/// The checkpoint service, if the manifest has one for this VM.
pub struct CheckpointClient(Option<Client<Checkpoint>>);

impl CheckpointClient {
    /// The one that the environment names.
    pub fn connect() -> Self {
        Self(Client::connect())
    }

    /// See [`vmm::machine::Backend::attach`].
    pub fn attach(&self) {
        if self.0.is_some()
            && let Err(error) = self.call(&Request::Attach, PATIENCE_MS)
        {
            rt::log::say(format_args!("{error}"));
        }
    }

    /// See [`vmm::machine::Backend::begin`].
    pub fn begin(&self) -> Result<u64, CheckpointError> {
        match self.call(&Request::Begin, PATIENCE_MS)? {
            Reply::Begun { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// See [`vmm::machine::Backend::commit`].
    pub fn commit(&self, id: u64, state: &[u8]) -> Result<(), CheckpointError> {
        let done = self.put(id, state);
        if done.is_err() {
            self.abort(id);
        }
        done
    }

    /// See [`vmm::machine::Backend::abort`].
    pub fn abort(&self, id: u64) {
        // Best effort: the next beginning drops it as well.
        let _ = self.call(&Request::Abort { id }, PATIENCE_MS);
    }

    fn put(&self, id: u64, state: &[u8]) -> Result<(), CheckpointError> {
        let mut offset = 0;
        for part in state.chunks(MAX_PART) {
            let request = Request::PutState { id, offset, bytes: part.to_vec() };
            self.done(&request, PATIENCE_MS)?;
            offset += part.len() as u32;
        }
        self.done(&Request::Commit { id }, PATIENCE_MS)
    }

    /// See [`vmm::machine::Backend::state`].
    pub fn state(&self, id: u64) -> Result<Vec<u8>, CheckpointError> {
        let mut state = Vec::new();
        loop {
            let request = Request::GetState { id, offset: state.len() as u32 };
            match self.call(&request, PATIENCE_MS)? {
                Reply::State { total, bytes } => {
                    state.extend_from_slice(&bytes);
                    if state.len() as u64 >= u64::from(total) {
                        return Ok(state);
                    }
                    if bytes.is_empty() || total > MAX_STATE {
                        return Err(CheckpointError::Unavailable("the state is cut short".into()));
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// See [`vmm::machine::Backend::restore`].
    pub fn restore(&self, id: u64) -> Result<(), CheckpointError> {
        let Some(client) = &self.0 else { return Err(absent()) };
        let request = Request::Restore { id };
        match client.call_until(&request, time::after_ms(RESTORE_PATIENCE_MS)) {
            Ok(Reply::Restored { .. }) => Ok(()),
            Ok(Reply::Refused(Refusal::Core(number))) => {
                Err(CheckpointError::Torn(format!("the core refused a page (error {number})")))
            }
            Ok(other) => Err(refusal(&other)),
            Err(CallError::TooLong | CallError::Refused) => {
                Err(CheckpointError::Unavailable("refused".to_string()))
            }
            Err(error) => Err(CheckpointError::Torn(format!("{error:?}"))),
        }
    }

    /// See [`vmm::machine::Backend::quota`].
    pub fn quota(&self) -> Result<u32, CheckpointError> {
        match self.call(&Request::Quota, PATIENCE_MS)? {
            Reply::Quota { left, .. } => Ok(left),
            other => Err(unexpected(&other)),
        }
    }

    /// See [`vmm::machine::Backend::is_copying`].
    pub fn is_copying(&self, id: u64) -> bool {
        match self.call(&Request::List { from: id }, PATIENCE_MS) {
            Ok(Reply::List(list)) => list.iter().any(|info| {
                info.id == id
                    && matches!(info.stage, Stage::Begun | Stage::Copying { .. } | Stage::Verifying { .. })
            }),
            // A service that is gone copies nothing.
            Ok(_) | Err(_) => false,
        }
    }

    fn done(&self, request: &Request, patience_ms: u64) -> Result<(), CheckpointError> {
        match self.call(request, patience_ms)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks; a refusal is an error.
    fn call(&self, request: &Request, patience_ms: u64) -> Result<Reply, CheckpointError> {
        let Some(client) = &self.0 else { return Err(absent()) };
        match client.call_until(request, time::after_ms(patience_ms)) {
            Ok(reply @ (Reply::Refused(_) | Reply::Denied)) => Err(refusal(&reply)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(CheckpointError::Unavailable(format!("{error:?}"))),
        }
    }
}

fn absent() -> CheckpointError {
    CheckpointError::Unavailable("the manifest gives this VM none".to_string())
}

fn unexpected(reply: &Reply) -> CheckpointError {
    CheckpointError::Unavailable(format!("unexpected answer {reply:?}"))
}

fn refusal(reply: &Reply) -> CheckpointError {
    match reply {
        Reply::Refused(Refusal::QuotaExhausted | Refusal::StoreFull) => CheckpointError::QuotaExhausted,
        Reply::Refused(Refusal::NoCheckpoint) => CheckpointError::NoCheckpoint,
        Reply::Refused(Refusal::Busy | Refusal::NotComplete) => {
            CheckpointError::Unavailable("busy with an earlier one; try again".to_string())
        }
        other => unexpected(other),
    }
}
