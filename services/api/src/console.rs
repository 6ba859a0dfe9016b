// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: one log for all.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Interface;
use crate::interface::{TooLong, encode};

/// Most bytes of text in one request.
pub const MAX_TEXT: usize = 1024;
/// Most bytes of log in one reply.
pub const MAX_READ: usize = 3584;

/// The interface.
pub enum Console {}

impl Interface for Console {
    type Request = Request;
    type Reply = Reply;
    const LABEL: u32 = 0x636f_6e73;
    const NAME: &'static str = "console";
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Put text (one line or more; an end of line is added) into the log under the caller's name.
    Write(String),
    /// Read the log from a place on (0 for the oldest that is kept). For controlling callers.
    Read {
        /// Bytes of the log before the place.
        cursor: u64,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Written.
    Written,
    /// Not written: the caller has written too much of late.
    Suppressed,
    /// A part of the log.
    Log {
        /// Place of the first byte: later than the cursor where the log no longer goes back so far.
        start: u64,
        /// At most [`MAX_READ`] bytes; empty at the end of the log.
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// The caller may not do that.
    Denied,
}

/// [`Request::Write`] of borrowed text, for whoever has no heap.
#[derive(Serialize)]
enum BorrowedRequest<'a> {
    Write(&'a str),
}

/// Encodes [`Request::Write`] without a heap.
///
/// # Errors
/// `TooLong` where the buffer is too small.
pub fn encode_write(text: &str, buffer: &mut [u8]) -> Result<usize, TooLong> {
    encode(&BorrowedRequest::Write(text), buffer)
}

#[cfg(test)]
mod tests {
    use super::{Request, encode_write};
    use crate::interface::decode;

    #[test]
    fn borrowed_text_reads_as_a_request() {
        let mut buffer = [0; 64];
        let size = encode_write("hello", &mut buffer).unwrap();
        assert_eq!(decode(&buffer[..size]), Some(Request::Write("hello".into())));
    }
}
