// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets: the handshake, and sealed packets.
//!
//! | step | from | packet | proves |
//! |---|---|---|---|
//! | 1 | tool | [`Packet::Hello`]: versions, its nonce | |
//! | 2 | service | [`Packet::Challenge`]: version, its nonce | |
//! | 3 | tool | [`Packet::Proof`] | the tool knows the secret |
//! | 4 | service | [`Packet::Welcome`] | so does the service |
//! | 5 | both | [`Packet::Sealed`] ... | that it belongs to this session, at this place |
//!
//! The service sends [`Packet::Goodbye`] instead where it does not go on. A `Hello` begins anew at
//! any time. The form of `Hello` and `Goodbye` is the same in all versions.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Key;

/// Begins every `Hello`.
pub const MAGIC: [u8; 4] = *b"USTY";

/// A number that is used once.
pub type Nonce = [u8; 16];
/// What only the owner of a key can compute.
pub type Tag = [u8; 16];

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet<'a> {
    /// Step 1.
    Hello(Hello),
    /// Why the service does not go on.
    Goodbye(Goodbye),
    /// Step 2.
    Challenge {
        /// Version chosen by the service.
        version: u16,
        /// Its nonce.
        nonce: Nonce,
    },
    /// Step 3.
    Proof(Tag),
    /// Step 4.
    Welcome(Tag),
    /// Step 5.
    Sealed {
        /// A request or a reply, encoded.
        body: &'a [u8],
        /// Of body, direction and place.
        tag: Tag,
    },
}

/// Who comes to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// Oldest version that it speaks.
    pub oldest: u16,
    /// Newest version that it speaks.
    pub newest: u16,
    /// Its nonce.
    pub nonce: Nonce,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goodbye {
    /// No version in common; these are spoken.
    Version {
        /// Oldest.
        oldest: u16,
        /// Newest.
        newest: u16,
    },
    /// The secrets differ.
    Denied,
    /// The system was started without a secret: nobody is let in.
    NoSecret,
    /// Something came that makes no sense here.
    Garbled,
}

/// What a handshake has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Version.
    pub version: u16,
    /// The tool's nonce.
    pub client: Nonce,
    /// The service's nonce.
    pub server: Nonce,
}

impl Agreement {
    fn digest(&self, key: &Key, purpose: &str) -> Key {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&self.version.to_le_bytes()).update(&self.client).update(&self.server);
        hasher.update(purpose.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// What the tool shows.
    #[must_use]
    pub fn proof(&self, key: &Key) -> Tag {
        short(&self.digest(key, "tool"))
    }

    /// What the service shows.
    #[must_use]
    pub fn welcome(&self, key: &Key) -> Tag {
        short(&self.digest(key, "service"))
    }

    /// The two ways of the session: tool to service, service to tool.
    #[must_use]
    pub fn ways(&self, key: &Key) -> (Way, Way) {
        let way = |purpose| Way { key: self.digest(key, purpose), count: 0 };
        (way("tool to service"), way("service to tool"))
    }
}

fn short(digest: &Key) -> Tag {
    let mut tag = Tag::default();
    tag.copy_from_slice(&digest[..size_of::<Tag>()]);
    tag
}

/// Whether two tags are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(a: &Tag, b: &Tag) -> bool {
    core::hint::black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

/// One direction of a session.
#[derive(Clone)]
pub struct Way {
    key: Key,
    count: u64,
}

impl Way {
    /// The tag of the next packet.
    fn next(&mut self, body: &[u8]) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.count.to_le_bytes()).update(body);
        self.count = self.count.wrapping_add(1);
        short(hasher.finalize().as_bytes())
    }

    /// The frame of a request or a reply.
    ///
    /// # Errors
    /// Where it is too long for a frame.
    pub fn seal<T: Serialize>(&mut self, value: &T) -> Result<Vec<u8>, super::frame::Garbled> {
        let body = postcard::to_allocvec(value).map_err(|_| super::frame::Garbled)?;
        // The tag and the lengths take less.
        if body.len() > super::frame::MAX_PACKET - 64 {
            return Err(super::frame::Garbled);
        }
        let tag = self.next(&body);
        Ok(Packet::Sealed { body: &body, tag }.frame())
    }

    /// The request or reply in a sealed packet, if it is the next one of this session.
    pub fn open<T: DeserializeOwned>(&mut self, body: &[u8], tag: &Tag) -> Option<T> {
        if !same(&self.next(body), tag) {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

impl core::fmt::Debug for Way {
    /// Without the key.
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Way({})", self.count)
    }
}

impl<'a> Packet<'a> {
    /// As a frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        // Encoding into memory that grows cannot fail for these types.
        super::frame::frame(&postcard::to_allocvec(self).unwrap_or_default())
    }

    /// Out of a frame; all of it must be understood.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((packet, [])) => Some(packet),
            _ => None,
        }
    }
}
