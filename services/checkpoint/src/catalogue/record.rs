// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record: all that is known of one checkpoint.
//!
//! Bytes of its head (32 bits), the head (postcard), the typed state, each leaf of the tree that is there (its number and 512 slots, 32 bits each),
//! and the BLAKE3 of all that.

use alloc::string::String;
use alloc::vec::Vec;

use api::checkpoint::MAX_STATE;
use serde::{Deserialize, Serialize};

use super::{Flaw, MOST_ID, digest_of};
use crate::store::{Digest, ZERO};
use crate::tree::{FAN, Leaf};

/// Bytes of a leaf.
pub(super) const LEAF_BYTES: usize = 4 + 4 * FAN as usize;
/// Bytes of a digest.
pub(super) const DIGEST_BYTES: usize = 32;
/// Most bytes of a head.
const HEAD_MOST: usize = 1024;

/// What precedes state and leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: u64,
    /// Name of the VM.
    pub(crate) vm: String,
    pub(crate) parent: Option<u64>,
    pub(crate) at_ms: u64,
    pub(crate) new_pages: u64,
    /// Pages of the VM.
    pub(crate) pages: u64,
    /// Digest of the checkpoint.
    pub(crate) digest: Digest,
    pub(crate) state_bytes: u32,
    /// Leaves of the tree that are there.
    pub(crate) leaves: u32,
}

impl Head {
    /// The record up to its leaves.
    pub(super) fn encode(&self, state: &[u8]) -> Option<Vec<u8>> {
        let head = postcard::to_allocvec(self).ok().filter(|head| head.len() <= HEAD_MOST)?;
        let mut bytes = (head.len() as u32).to_le_bytes().to_vec();
        bytes.extend(head);
        bytes.extend_from_slice(state);
        Some(bytes)
    }

    /// What no checkpoint has, whatever VM it is of; `ids` are those that may have been given out.
    fn is_sound(&self, ids: u64) -> bool {
        let known = (1..ids.min(MOST_ID)).contains(&self.id);
        let older = self.parent.is_none_or(|parent| parent < self.id);
        known && older && self.state_bytes <= MAX_STATE && self.new_pages <= self.pages
    }
}

/// A record that was read.
pub(super) struct Record<'a> {
    pub(super) head: Head,
    pub(super) state: &'a [u8],
    leaves: &'a [[u8; LEAF_BYTES]],
}

impl<'a> Record<'a> {
    /// Reads a record, leaves apart.
    pub(super) fn decode(bytes: &'a [u8], ids: u64) -> Result<Self, Flaw> {
        let (bytes, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(Flaw::Record)?;
        if digest_of(bytes) != *digest {
            return Err(Flaw::Digest);
        }
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Flaw::Record)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (head, rest) = rest.split_at_checked(length.min(HEAD_MOST)).ok_or(Flaw::Record)?;
        let head: Head = postcard::from_bytes(head).map_err(|_| Flaw::Record)?;
        let (state, leaves) = rest.split_at_checked(head.state_bytes as usize).ok_or(Flaw::Record)?;
        let (leaves, over) = leaves.as_chunks::<LEAF_BYTES>();
        if !head.is_sound(ids) || !over.is_empty() || leaves.len() != head.leaves as usize {
            return Err(Flaw::Record);
        }
        Ok(Self { head, state, leaves })
    }

    /// Its leaves, each with its number.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (u32, Leaf)> {
        self.leaves.iter().map(|bytes| {
            let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            let number = words.next().unwrap_or(u32::MAX);
            let mut leaf = [ZERO; FAN as usize];
            leaf.iter_mut().zip(words).for_each(|(to, slot)| *to = slot);
            (number, leaf)
        })
    }

    /// Whether the leaves are in order, and of pages that the VM has.
    pub(super) fn leaves_fit(&self) -> bool {
        let mut least = 0;
        self.leaves().all(|(number, leaf)| {
            let first = u64::from(number) * FAN;
            let beyond = (first..).zip(leaf).any(|(page, slot)| page >= self.head.pages && slot != ZERO);
            let fits = number >= least && first < self.head.pages && !beyond;
            least = number.saturating_add(1);
            fits
        })
    }
}

/// A leaf's bytes.
pub(super) fn leaf_bytes(number: u32, leaf: &Leaf) -> [u8; LEAF_BYTES] {
    let mut bytes = [0; LEAF_BYTES];
    let words = core::iter::once(&number).chain(leaf);
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    bytes
}
