// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a VM does not go, or come, or go on.

use crate::backend::CheckpointError;
use core::fmt;
use state::LoadError;

/// Why a vCPU was not stopped, or does not go on; nothing has changed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The VM has no vCPU of this number.
    NoVcpu(u32),
    /// The VM is not here yet.
    NotHere,
    /// The VM is here.
    Here,
    /// Guest memory is being copied for this checkpoint.
    Copying(u64),
    /// The typed state cannot be had.
    Gather(CheckpointError),
    /// The typed state is larger than the window.
    TooLarge(usize),
    /// There is no handover window.
    NoWindow,
    /// The window has no state, or one that was used.
    NoState,
    /// The window has a state that was not used.
    Unused,
    /// The header in the window is not the one that was written here.
    Elsewhere,
    /// The state in the window is a change of a base that is not there.
    NoBase,
    /// The state in the window is none.
    State(LoadError),
    /// The state in the window does not fit this machine, and why.
    Unfit(&'static str),
    /// The core refuses the state of a vCPU.
    Core(usize, abi::error::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoVcpu(number) => write!(f, "the VM has no vCPU {number}"),
            Refusal::NotHere => f.write_str("the VM is not here yet"),
            Refusal::Here => f.write_str("the VM is here"),
            Refusal::Copying(id) => write!(f, "checkpoint {id} is still being copied; try again"),
            Refusal::Gather(why) => write!(f, "its state cannot be had: {why}"),
            Refusal::TooLarge(bytes) => write!(f, "its state of {bytes} bytes does not fit into the window"),
            Refusal::NoWindow => f.write_str("there is no handover window"),
            Refusal::NoState => f.write_str("the handover window has no state that was not used yet"),
            Refusal::Unused => f.write_str("its state lies in the handover window"),
            Refusal::Elsewhere => f.write_str("the VM has run elsewhere since it was stopped here"),
            Refusal::NoBase => f.write_str("the state in the handover window is a change of something else"),
            Refusal::State(error) => write!(f, "the state in the handover window: {error}"),
            Refusal::Unfit(why) => write!(f, "the state in the handover window: {why}"),
            Refusal::Core(cpu, error) => write!(f, "the core refuses the state of vCPU {cpu}: {error:?}"),
        }
    }
}
