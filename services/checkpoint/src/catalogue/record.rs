// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record: all that is known of one checkpoint.
//!
//! Bytes of its head (32 bits), the head (postcard), the typed state, for each leaf of the tree
//! that has a page that is not zero an entry (its number and the slot where it lies, 32 bits each;
//! its digest and the sum of that slot's page, 128 bits each), and the BLAKE3 of all that. The page
//! of a leaf, 512 slots of 32 bits and zeros, is written once, for all checkpoints in which no page
//! of the leaf differs.

use alloc::string::String;
use alloc::vec::Vec;

use api::checkpoint::MAX_STATE;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::{Flaw, MOST_ID, digest_of};
use crate::leaf::{FAN, LeafDigest, Place, Slots};
use crate::outside::{PAGE, Page};
use crate::store::{Digest, ZERO};

/// Bytes of a leaf's entry.
pub(super) const ENTRY_BYTES: usize = 40;
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
    /// Leaves that have an entry.
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
    leaves: &'a [[u8; ENTRY_BYTES]],
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
        let (leaves, over) = leaves.as_chunks::<ENTRY_BYTES>();
        if !head.is_sound(ids) || !over.is_empty() || leaves.len() != head.leaves as usize {
            return Err(Flaw::Record);
        }
        Ok(Self { head, state, leaves })
    }

    /// The entries of its leaves.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.leaves.iter().map(Entry::decode)
    }

    /// Whether the entries are in order, and of pages that the VM has.
    pub(super) fn entries_fit(&self) -> bool {
        let mut least = 0;
        self.entries().all(|entry| {
            let fits = entry.number >= least && u64::from(entry.number) * FAN < self.head.pages;
            least = entry.number.saturating_add(1);
            fits
        })
    }
}

/// What a record says of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) digest: LeafDigest,
}

impl Entry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = u64::from(self.number) | u64::from(self.place.slot) << 32;
        let parts = words.to_le_bytes().into_iter().chain(self.digest.to_le_bytes());
        let all = parts.chain(self.place.sum.to_le_bytes());
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        let both = word();
        let mut wide = || u128::from(word()) | u128::from(word()) << 64;
        let (digest, sum) = (wide(), wide());
        Self { number: both as u32, place: Place { slot: (both >> 32) as u32, sum }, digest }
    }
}

/// The page of a leaf, and its sum.
pub(super) fn leaf_page(slots: &Slots) -> (Page, u128) {
    let mut page = [0; PAGE];
    for (to, slot) in page.as_chunks_mut::<4>().0.iter_mut().zip(slots) {
        *to = slot.to_le_bytes();
    }
    (page, xxh3_128(&page))
}

/// The slots of a leaf, if its page has this sum.
pub(super) fn leaf_slots(page: &[u8], sum: u128) -> Option<Slots> {
    if page.len() != PAGE || xxh3_128(page) != sum {
        return None;
    }
    let mut slots = [ZERO; FAN as usize];
    let words = page.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    slots.iter_mut().zip(words).for_each(|(to, slot)| *to = slot);
    Some(slots)
}
