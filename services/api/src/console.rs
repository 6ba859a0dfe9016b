// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: one log for all.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Interface;

/// Most bytes of text in one line of a writer.
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

/// What is asked. For controlling callers only; what is to be logged comes by [`crate::log_ring`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Read the log as text from a place on (0 for the oldest that is kept).
    Read {
        /// Bytes of the log before the place.
        cursor: u64,
    },
    /// Read lines with their times and sources.
    Lines(Query),
}

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Number of the first line to look at (0 for the oldest that is kept).
    pub from: u64,
    /// Only the newest so many of those that match; 0 for all of them.
    pub newest: u32,
    /// Only lines of this source.
    pub source: Option<String>,
    /// Only lines written at this time or later, in milliseconds since the TSC began.
    pub since_ms: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number. Numbers grow; some are missing where older lines are no longer kept.
    pub number: u64,
    /// When it was written, in milliseconds since the TSC began.
    pub at_ms: u64,
    /// The partition that wrote it, or `root`.
    pub source: String,
    /// Text.
    pub text: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A part of the log.
    Log {
        /// Place of the first byte: later than the cursor where the log no longer goes back so far.
        start: u64,
        /// At most [`MAX_READ`] bytes; empty at the end of the log.
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// Lines.
    Lines {
        /// As many as a message holds; empty at the end of the log.
        lines: Vec<Line>,
        /// Number to ask from for those that follow, with [`Query::newest`] 0.
        next: u64,
        /// Milliseconds since the TSC began, now: to turn times into dates.
        now_ms: u64,
    },
    /// The caller may not do that.
    Denied,
}
