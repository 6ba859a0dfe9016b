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
use vmm::machine::StoreError;

/// Longest wait for an answer that takes no copying.
const PATIENCE_MS: u64 = 5_000;
/// Longest wait for guest memory to be restored.
const RESTORE_PATIENCE_MS: u64 = 120_000;

/// The checkpoint service, if the manifest has one for this VM.
pub struct Store(Option<Client<Checkpoint>>);

impl Store {
    /// The one that the environment names.
    pub fn connect() -> Self {
        Self(Client::connect())
    }

    /// See [`vmm::machine::Outside::attach`].
    pub fn attach(&self) {
        if self.0.is_some()
            && let Err(error) = self.call(&Request::Attach, PATIENCE_MS)
        {
            rt::log::say(format_args!("{error}"));
        }
    }

    /// See [`vmm::machine::Outside::begin`].
    pub fn begin(&self) -> Result<u64, StoreError> {
        match self.call(&Request::Begin, PATIENCE_MS)? {
            Reply::Begun { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// See [`vmm::machine::Outside::commit`].
    pub fn commit(&self, id: u64, state: &[u8]) -> Result<(), StoreError> {
        let done = self.put(id, state);
        if done.is_err() {
            // Best effort: the next beginning drops it as well.
            let _ = self.call(&Request::Abort { id }, PATIENCE_MS);
        }
        done
    }

    fn put(&self, id: u64, state: &[u8]) -> Result<(), StoreError> {
        let mut offset = 0;
        for part in state.chunks(MAX_PART) {
            let request = Request::PutState { id, offset, bytes: part.to_vec() };
            self.done(&request, PATIENCE_MS)?;
            offset += part.len() as u32;
        }
        self.done(&Request::Commit { id }, PATIENCE_MS)
    }

    /// See [`vmm::machine::Outside::state`].
    pub fn state(&self, id: u64) -> Result<Vec<u8>, StoreError> {
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
                        return Err(StoreError::Unavailable("the state is cut short".into()));
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// See [`vmm::machine::Outside::restore`].
    pub fn restore(&self, id: u64) -> Result<(), StoreError> {
        let Some(client) = &self.0 else { return Err(absent()) };
        let request = Request::Restore { id };
        match client.call_until(&request, time::after_ms(RESTORE_PATIENCE_MS)) {
            Ok(Reply::Restored { .. }) => Ok(()),
            Ok(Reply::Refused(Refusal::Core(number))) => {
                Err(StoreError::Torn(format!("the core refused a page (error {number})")))
            }
            Ok(other) => Err(refusal(&other)),
            Err(CallError::TooLong | CallError::Refused) => {
                Err(StoreError::Unavailable("refused".to_string()))
            }
            Err(error) => Err(StoreError::Torn(format!("{error:?}"))),
        }
    }

    /// See [`vmm::machine::Outside::quota`].
    pub fn quota(&self) -> Result<u32, StoreError> {
        match self.call(&Request::Quota, PATIENCE_MS)? {
            Reply::Quota { left, .. } => Ok(left),
            other => Err(unexpected(&other)),
        }
    }

    /// See [`vmm::machine::Outside::is_copying`].
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

    fn done(&self, request: &Request, patience_ms: u64) -> Result<(), StoreError> {
        match self.call(request, patience_ms)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks; a refusal is an error.
    fn call(&self, request: &Request, patience_ms: u64) -> Result<Reply, StoreError> {
        let Some(client) = &self.0 else { return Err(absent()) };
        match client.call_until(request, time::after_ms(patience_ms)) {
            Ok(reply @ (Reply::Refused(_) | Reply::Denied)) => Err(refusal(&reply)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(StoreError::Unavailable(format!("{error:?}"))),
        }
    }
}

fn absent() -> StoreError {
    StoreError::Unavailable("the manifest gives this VM none".to_string())
}

fn unexpected(reply: &Reply) -> StoreError {
    StoreError::Unavailable(format!("unexpected answer {reply:?}"))
}

fn refusal(reply: &Reply) -> StoreError {
    match reply {
        Reply::Refused(Refusal::QuotaExhausted | Refusal::StoreFull) => StoreError::QuotaExhausted,
        Reply::Refused(Refusal::NoCheckpoint) => StoreError::NoCheckpoint,
        Reply::Refused(Refusal::Busy | Refusal::NotComplete) => {
            StoreError::Unavailable("busy with an earlier one; try again".to_string())
        }
        other => unexpected(other),
    }
}
