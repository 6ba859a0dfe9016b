// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interfaces: a request type, a reply type and a label, and their encoding.
//!
//! The label keeps a message that arrives at the wrong door from being read as something else. The
//! encoding is postcard; what does not decode is refused, whoever sent it.

use serde::{Serialize, de::DeserializeOwned};

/// Most bytes of one encoded request or reply.
pub const MAX_MESSAGE: usize = abi::message::MAX_BYTES;

/// Label of a reply that says that the server could not read the request.
pub const LABEL_REFUSED: u32 = u32::MAX;

/// What a service offers.
pub trait Interface {
    /// What is asked.
    type Request: Serialize + DeserializeOwned;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned;
    /// Label of both.
    const LABEL: u32;
    /// Name, as the manifest knows it.
    const NAME: &'static str;
}

/// Writes `value` into `buffer` and says how many bytes it took.
///
/// # Errors
/// `TooLong` where it does not fit.
pub fn encode<T: Serialize>(value: &T, buffer: &mut [u8]) -> Result<usize, TooLong> {
    postcard::to_slice(value, buffer).map(|written| written.len()).map_err(|_| TooLong)
}

/// Reads a value; bytes after it are ignored (messages are padded to words).
#[must_use]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// The message does not fit into [`MAX_MESSAGE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;
