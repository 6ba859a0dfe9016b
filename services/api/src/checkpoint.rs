// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checkpoint service: total states of VMs, kept and brought back.
//!
//! *Creating*, by the VMM, with the vCPUs stopped: [`Request::Begin`] seals guest memory in
//! constant time; then the vCPUs go on, and the pages are copied behind their back. The typed state
//! of that moment follows: [`Request::PutState`] until all is there, [`Request::Commit`].
//! *Restoring*, with the vCPUs stopped: [`Request::GetState`] until all is there, and checked; then
//! [`Request::Restore`], which answers when guest memory is as it was; then the VMM loads the
//! state.
//!
//! Who calls is told by the badge: a VMM works on checkpoints of its own VM only; controlling
//! callers see all.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Interface;

/// Most bytes of state in one request or reply.
pub const MAX_PART: usize = 3072;
/// Most bytes of state of one checkpoint.
pub const MAX_STATE: u32 = 512 << 10;
/// Most entries in one list.
pub const MAX_LIST: usize = 16;

/// The interface.
pub enum Checkpoint {}

impl Interface for Checkpoint {
    type Request = Request;
    type Reply = Reply;
    const LABEL: u32 = 0x6370_6e74;
    const NAME: &'static str = "checkpoint";
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A VMM starts, with guest memory that has nothing to do with what was there before. The VM's
    /// checkpoints stay.
    Attach,
    /// A VMM begins a checkpoint: guest memory is sealed as it is now. One that it began and did
    /// not commit is dropped.
    Begin,
    /// A part of the typed state. Parts come in order.
    PutState {
        /// Which checkpoint.
        id: u64,
        /// Bytes put before.
        offset: u32,
        /// At most [`MAX_PART`].
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// All state is there: the checkpoint becomes complete as soon as all pages are copied.
    Commit {
        /// Which checkpoint.
        id: u64,
    },
    /// Drop a checkpoint that was not committed.
    Abort {
        /// Which checkpoint.
        id: u64,
    },
    /// Read the typed state of a checkpoint.
    GetState {
        /// Which checkpoint.
        id: u64,
        /// First byte.
        offset: u32,
    },
    /// Make guest memory what it was. Waits for a checkpoint of the VM that is still being copied.
    Restore {
        /// Which checkpoint.
        id: u64,
    },
    /// How many more checkpoints may the caller's VM have?
    Quota,
    /// Checkpoints in the order of their ids, from this id on: of the caller's VM, or all for
    /// controlling callers.
    List {
        /// First id.
        from: u64,
    },
    /// Remove a checkpoint. For controlling callers.
    Remove {
        /// Which checkpoint.
        id: u64,
    },
    /// How full is the store? For controlling callers.
    Store,
    /// Begin nothing any more, for the store is about to change owner; or go on. Refused as busy
    /// while a checkpoint is made or restored. For controlling callers.
    Rest(bool),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// A checkpoint was begun.
    Begun {
        /// Its id.
        id: u64,
    },
    /// A part of the typed state.
    State {
        /// Bytes of the whole.
        total: u32,
        /// At most [`MAX_PART`] of them from the offset on; empty at the end.
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// Guest memory is what it was.
    Restored {
        /// Pages that had to be written for it.
        pages: u64,
    },
    /// Checkpoints that the VM may still have.
    Quota {
        /// How many more.
        left: u32,
        /// How many in all.
        total: u32,
    },
    /// At most [`MAX_LIST`] checkpoints; none at the end.
    List(Vec<Info>),
    /// The page store.
    Store(StoreInfo),
    /// Not done; nothing has changed.
    Refused(Refusal),
    /// The caller may not do that.
    Denied,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The VM has as many checkpoints as it may.
    QuotaExhausted,
    /// The page store has no room left for this VM.
    StoreFull,
    /// The VM's last checkpoint is still being made, or one is being restored. Try again.
    Busy,
    /// There is no such checkpoint (of this VM).
    NoCheckpoint,
    /// The checkpoint is not complete.
    NotComplete,
    /// A part of the state is too long, or not the next one.
    BadPart,
    /// The core refused something; its error number.
    Core(u64),
}

/// How far a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Memory is sealed, and state is being put.
    Begun,
    /// Pages are being copied; so many of so many are settled. The VM runs.
    Copying {
        /// Pages that are settled.
        done: u64,
        /// Pages of the VM.
        total: u64,
    },
    /// All pages are there; their digest is being made.
    Verifying {
        /// Pages that are settled.
        done: u64,
        /// Pages of the VM.
        total: u64,
    },
    /// It can be restored.
    Complete,
    /// It came to nothing, and why. It does not count against the quota and goes with the next one.
    Failed(Refusal),
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its id: unique among all VMs, growing.
    pub id: u64,
    /// Name of its VM.
    pub vm: String,
    /// The checkpoint that the VM had last been at.
    pub parent: Option<u64>,
    /// How far it is.
    pub stage: Stage,
    /// Milliseconds from boot to its creation.
    pub at_ms: u64,
    /// Pages that were new in it.
    pub new_pages: u64,
    /// Bytes of typed state.
    pub state_bytes: u32,
    /// BLAKE3 over state and pages; zero while it is not complete.
    pub digest: [u8; 32],
}

/// The page store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// Pages that it can hold.
    pub pages: u64,
    /// Pages that it holds.
    pub used: u64,
    /// References to them by checkpoints: what they would take without sharing. Zero pages take
    /// nothing.
    pub referenced: u64,
}

#[cfg(test)]
mod tests {
    use super::{Info, MAX_LIST, MAX_PART, Refusal, Reply, Request, Stage};
    use crate::interface::{MAX_MESSAGE, encode};
    use alloc::vec;

    #[test]
    fn the_longest_messages_fit() {
        let mut buffer = [0; MAX_MESSAGE];
        let part = Request::PutState { id: u64::MAX, offset: u32::MAX, bytes: vec![0; MAX_PART] };
        assert!(encode(&part, &mut buffer).is_ok());
        assert!(encode(&Reply::State { total: u32::MAX, bytes: vec![0; MAX_PART] }, &mut buffer).is_ok());
        let info = Info {
            id: u64::MAX,
            vm: "n".repeat(32),
            parent: Some(u64::MAX),
            stage: Stage::Failed(Refusal::Core(u64::MAX)),
            at_ms: u64::MAX,
            new_pages: u64::MAX,
            state_bytes: u32::MAX,
            digest: [0; 32],
        };
        assert!(encode(&Reply::List(vec![info; MAX_LIST]), &mut buffer).is_ok());
    }
}
