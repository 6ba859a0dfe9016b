// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the two parties say over the bridge.
//!
//! A message carries numbers and wakes the other side; it moves nothing. Who owns what is said by
//! the ledger alone, so a message that comes late, twice, or not at all because its reader was
//! restarted, does no harm.

use crate::Resource;

/// Version of the protocol spoken here.
pub const VERSION: u16 = 1;
/// Features known here; none yet.
pub const FEATURES: u32 = 0;

/// Why a party gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The operator said so.
    Operator,
    /// No version or format that both know.
    Incompatible,
    /// Something could not be built or taken.
    Failed,
    /// The service was restarted and begins by giving back.
    Restarted,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Successor: the versions of the protocol and of the state that it speaks, oldest to newest;
    /// features.
    Greet {
        /// Oldest version of the protocol.
        oldest: u16,
        /// Newest version of the protocol.
        newest: u16,
        /// Version of the state format.
        state: u16,
        /// Features, as bits.
        features: u32,
    },
    /// Incumbent: agreed on this version, with these features.
    Welcome {
        /// Version of the protocol from here on.
        version: u16,
        /// Features that both have.
        features: u32,
    },
    /// Giver: build this VM around its memory; it runs on.
    Prepare(u8),
    /// Taker: built.
    Ready(u8),
    /// Giver: all vCPUs of the VM are stopped, take it.
    Commit(u8),
    /// Taker: this VM cannot be taken; its giver runs it on.
    GiveBack(u8),
    /// Giver: a CPU, extent or line is released, take it.
    Offer(Resource),
    /// Taker: it is mine, and in use.
    Taken(Resource),
    /// Either: give up; everything goes back to the incumbent.
    Abort(Reason),
    /// Incumbent: I have only my home left and leave.
    Retire,
}
