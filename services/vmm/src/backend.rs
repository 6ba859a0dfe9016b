// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine needs of the world around it.
//!
//! Owns the trait [`Backend`], the clock, the log, the checkpoint service and the handover window
//! in one, and the errors of the checkpoint service. The program implements it by system calls,
//! tests by plain memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What the machine needs of the world outside.
pub trait Backend {
    /// The host's TSC.
    fn now(&mut self) -> u64;

    /// Puts a line into the log.
    fn log(&mut self, line: fmt::Arguments<'_>);

    /// Begins a checkpoint, and seals the guest's memory; returns its id.
    ///
    /// # Errors
    /// [`CheckpointError`], and there is no checkpoint.
    fn begin(&mut self) -> Result<u64, CheckpointError>;

    /// Gives the typed state of a checkpoint that has begun.
    ///
    /// # Errors
    /// [`CheckpointError`], and there is no checkpoint.
    fn commit(&mut self, id: u64, state: &[u8]) -> Result<(), CheckpointError>;

    /// Drops a checkpoint that has begun.
    fn abort(&mut self, id: u64);

    /// The typed state of a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`].
    fn state(&mut self, id: u64) -> Result<Vec<u8>, CheckpointError>;

    /// Brings guest memory back to a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`]; memory is as it was unless [`CheckpointError::Torn`].
    fn restore(&mut self, id: u64) -> Result<(), CheckpointError>;

    /// Says that guest memory has nothing to do any more with what was there before.
    fn attach(&mut self);

    /// Returns how many checkpoints may still be created.
    ///
    /// # Errors
    /// [`CheckpointError`].
    fn quota(&mut self) -> Result<u32, CheckpointError>;

    /// Returns whether guest memory is still being copied for this checkpoint.
    fn is_copying(&mut self, id: u64) -> bool;

    /// Copies out of the handover window; false where there is none, or the bytes do not all lie in
    /// it.
    fn read_handover(&mut self, offset: u64, into: &mut [u8]) -> bool;

    /// Copies into the handover window; false as above.
    fn write_handover(&mut self, offset: u64, bytes: &[u8]) -> bool;
}

/// Why the checkpoint service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// The quota is used up, or the store is full.
    QuotaExhausted,
    /// There is no such checkpoint.
    NoCheckpoint,
    /// It is not there, or busy.
    Unavailable(String),
    /// Memory has been changed in part: the VM cannot go on.
    Torn(String),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::QuotaExhausted => {
                f.write_str("the quota of checkpoints, or the store, is used up")
            }
            CheckpointError::NoCheckpoint => f.write_str("there is no such checkpoint"),
            CheckpointError::Unavailable(why) => write!(f, "the checkpoint service: {why}"),
            CheckpointError::Torn(why) => write!(f, "restored in part only: {why}"),
        }
    }
}
