// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of an image: what the hypervisor in it is, and what it speaks.

use core::fmt;

use crate::{FORMAT, HEAD, MAGIC, Version};

/// Versions from the oldest to the newest, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Span {
    /// From the oldest to the newest.
    #[must_use]
    pub const fn new(oldest: u16, newest: u16) -> Self {
        Self { oldest, newest }
    }

    /// The newest version that both have.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let (oldest, newest) = (self.oldest.max(other.oldest), self.newest.min(other.newest));
        (oldest <= newest).then_some(newest)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            return write!(out, "{}", self.oldest);
        }
        write!(out, "{} to {}", self.oldest, self.newest)
    }
}

/// A hypervisor, as others see it: the one in an image, or the one that reads the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// Its version.
    pub version: Version,
    /// The oldest version that it gives the machine to, or takes it from; see
    /// [`crate::compatible`].
    pub oldest_peer: Version,
    /// The contract of its core: `abi::VERSION`.
    pub contract: u32,
    /// Formats of saved state that it reads and writes: `state::FORMAT`.
    pub state: Span,
    /// Versions of the protocol of succession that it speaks: `succession::VERSION`.
    pub protocol: Span,
}

impl Header {
    /// A hypervisor that exchanges the machine with its own minor version and the one before.
    #[must_use]
    pub const fn new(version: Version, contract: u32, state: Span, protocol: Span) -> Self {
        Self { version, oldest_peer: version.oldest_peer(), contract, state, protocol }
    }
}

/// The head with what is not told to others, but for the length of the file, which is checked
/// before.
pub(crate) struct Head {
    pub header: Header,
    pub entries: u16,
}

impl Head {
    /// As bytes, of a file of so many bytes.
    #[cfg(any(test, feature = "host"))]
    pub fn encode(&self, file_bytes: u64) -> [u8; HEAD] {
        let header = &self.header;
        let mut bytes = [0; HEAD];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &FORMAT.to_le_bytes());
        put(10, &self.entries.to_le_bytes());
        put(16, &file_bytes.to_le_bytes());
        for (at, version) in [(24, header.version), (30, header.oldest_peer)] {
            put(at, &version.major.to_le_bytes());
            put(at + 2, &version.minor.to_le_bytes());
            put(at + 4, &version.patch.to_le_bytes());
        }
        put(36, &header.contract.to_le_bytes());
        for (at, span) in [(40, header.state), (44, header.protocol)] {
            put(at, &span.oldest.to_le_bytes());
            put(at + 2, &span.newest.to_le_bytes());
        }
        bytes
    }

    /// Out of bytes of format [`FORMAT`]. `None` where there are bytes that this format does not
    /// have, or where a span ends before it begins.
    pub fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let version =
            |at| Some(Version::new(u16_at(bytes, at)?, u16_at(bytes, at + 2)?, u16_at(bytes, at + 4)?));
        let span = |at| {
            let span = Span::new(u16_at(bytes, at)?, u16_at(bytes, at + 2)?);
            (span.oldest <= span.newest).then_some(span)
        };
        let spare = bytes.get(12..16)?.iter().chain(bytes.get(48..)?);
        if !bytes.starts_with(&MAGIC)
            || u16_at(bytes, 8)? != FORMAT
            || spare.into_iter().any(|&byte| byte != 0)
        {
            return None;
        }
        let header = Header {
            version: version(24)?,
            oldest_peer: version(30)?,
            contract: u32::from_le_bytes(*bytes.get(36..)?.first_chunk()?),
            state: span(40)?,
            protocol: span(44)?,
        };
        Some(Self { header, entries: u16_at(bytes, 10)? })
    }
}

/// A number of 16 bits.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number of 64 bits.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
