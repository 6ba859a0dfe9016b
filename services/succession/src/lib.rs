// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol of succession, without input, output, clock or memory allocation.
//!
//! Owns what two hypervisors say to each other over the bridge ([`Message`]), the ledger that says
//! which of them owns what ([`Table`], [`SharedLedger`]), and the two state machines
//! ([`Incumbent`], [`Successor`]): an event and the ledger in, actions out. Invariant I7 is kept
//! here: a resource is used by whom its word names, and by nobody while the word says that it is
//! leaving. The checker under `tests/` explores every interleaving.
//!
//! What it leaves to others: performing the actions, mapping the bridge, noticing that the other
//! side fell, and what the state of a vCPU is (crate `state`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod action;
mod channel;
mod encode;
mod give;
mod incumbent;
mod ledger;
mod message;
pub mod multiboot;
mod recovery;
mod resource;
mod shared;
mod successor;
mod take;
mod word;

#[cfg(test)]
mod tests;

pub use action::{Action, Actions, Event};
pub use channel::{CHANNEL_WORDS, Channel, ChannelError};
pub use encode::{DecodeError, FRAME_BYTES};
pub use give::Giver;
pub use incumbent::Incumbent;
pub use ledger::{Change, Refused, Table, Turn};
pub use message::{FEATURES, Message, Reason, VERSION};
pub use recovery::may_seize;
pub use resource::{Party, Resource, Shape};
pub use shared::{LEDGER_MAGIC, LEDGER_WORDS, LayoutError, SharedLedger};
pub use successor::Successor;
pub use take::Taker;
pub use word::{Course, Phase, State, Word, WordError};
