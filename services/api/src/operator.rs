// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator's line: what the tool on the host and the operator service say to each other.
//!
//! The line is a stream of bytes that anybody who can reach it may write to, so nothing that
//! arrives is believed before it is checked. Layers, from below:
//!
//! 1. [`frame`]: packets between zero bytes, with a checksum. After garbage, the next zero byte
//!    begins anew.
//! 2. [`packet`]: the handshake, which shows that both know the secret without telling it, agrees
//!    on a version and makes a key for this session; then sealed packets, each with its number and
//!    a tag made with that key. Whoever comes to the line later, after a tool that went away, has
//!    no key and is not obeyed.
//! 3. [`Request`] and [`Reply`]: one after the other, never two at once. They are those of the
//!    services ([`crate::root`], [`crate::vmm`], ...), which the operator service passes on if
//!    [`permitted`].
//!
//! [`server::Session`] and [`client::Session`] are the two ends, without input and output of their
//! own. Whatever is wrong with a packet ends the session, and nothing else.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{checkpoint, console, root, succession, vmm};

pub mod audit;
pub mod client;
pub mod frame;
pub mod packet;
pub mod server;

/// Oldest version of the protocol that is spoken here.
pub const OLDEST: u16 = 1;
/// Newest version of the protocol that is spoken here.
pub const NEWEST: u16 = 1;

/// A key made of the shared secret.
pub type Key = [u8; 32];

/// The key that belongs to a secret, as it stands on the core's command line
/// (`operator-secret=...`) and in the tool's file. [`crate::Environment::secret`] is this key.
#[must_use]
pub fn key(secret: &str) -> Key {
    blake3::derive_key("understudy 2026-11 operator line", secret.trim().as_bytes())
}

/// The key that the core's command line tells: of the word `operator-secret=...`.
#[must_use]
pub fn key_on_command_line(line: &str) -> Option<Key> {
    let secret = line.split_whitespace().find_map(|word| word.strip_prefix("operator-secret="))?;
    (!secret.is_empty()).then(|| key(secret))
}

/// What the tool asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Is anybody there?
    Ping,
    /// Of the root service.
    Root(root::Request),
    /// Of the console service.
    Console(console::Request),
    /// Of the VMM of a VM.
    Vm(String, vmm::Request),
    /// Of the checkpoint service.
    Checkpoint(checkpoint::Request),
    /// Of the succession service.
    Succession(succession::Request),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Ping`].
    Pong,
    /// It did not come so far.
    Failed(Failure),
    /// To [`Request::Root`].
    Root(root::Reply),
    /// To [`Request::Console`].
    Console(console::Reply),
    /// To [`Request::Vm`].
    Vm(vmm::Reply),
    /// To [`Request::Checkpoint`].
    Checkpoint(checkpoint::Reply),
    /// To [`Request::Succession`].
    Succession(succession::Reply),
}

/// Why a request was not passed on, or had no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// There is no such VM or service, or the manifest does not let the operator call it.
    Unknown(String),
    /// It is there and does not answer: it may be down, or starting anew.
    Unavailable(String),
    /// It took too long; whether the request was carried out is not known.
    TimedOut(String),
    /// The operator's line is not for that.
    NotPermitted,
}

/// Whether a request is one that an operator makes.
#[must_use]
pub fn permitted(request: &Request) -> bool {
    match request {
        Request::Ping | Request::Root(_) | Request::Console(_) | Request::Succession(_) => true,
        // The steps of a handover are for the succession service: out of their order, a VM would be
        // lost.
        Request::Vm(_, request) => {
            use vmm::Request::{HandOver, Lose, Prepare, TakeOver};
            !matches!(request, Prepare | HandOver { .. } | TakeOver { .. } | Lose { .. })
        }
        Request::Checkpoint(request) => {
            use checkpoint::Request::{List, Remove, Store};
            matches!(request, List { .. } | Remove { .. } | Store)
        }
    }
}
