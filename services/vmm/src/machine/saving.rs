// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state of a checkpoint that waits to be handed over while the VM runs.
//!
//! Owns the record, its bytes, and when they are due. Who takes the record is told by
//! [`crate::checkpoint`], who hands it over by `snapshot`.

use alloc::vec::Vec;

/// The state of the last checkpoint, if it is still to be handed over, and room for the next one.
#[derive(Default)]
pub(crate) struct Saving {
    /// Id of the checkpoint, and the host TSC at which that happens at the latest.
    pub(crate) of: Option<(u64, u64)>,
    /// What was taken.
    pub(crate) record: state::Machine,
    /// The same in bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Saving {
    /// The host TSC at which the state has to be handed over.
    pub(crate) fn due(&self) -> u64 {
        self.of.map_or(u64::MAX, |(_, due)| due)
    }
}
