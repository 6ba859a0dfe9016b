// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of one VM.
//!
//! [`Machine::step`] lets a vCPU run until its next exit and answers it (`step`); between two steps
//! the program serves requests ([`crate::requests`]). Starting is in `start`, what goes before an
//! entry in `entry`, whose turn it is in `turn`, what devices ask for in `effect`, the typed state
//! in `snapshot`, what is kept of handovers in `away`. System calls are behind [`Backend`], memory
//! and vCPUs behind their traits, so that a machine runs in a test as well.

pub(crate) mod away;
mod effect;
mod entry;
mod parts;
mod saving;
pub(crate) mod snapshot;
mod start;
mod step;
mod turn;

pub use crate::backend::{Backend, CheckpointError};
use parts::Turn;
pub use parts::{Activity, Config, Machine, Next, Processor, State};
pub(crate) use parts::{Pause, settings};

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod tests;
