// SPDX-License-Identifier: MIT OR Apache-2.0
//! The catalogue: what is known of the complete checkpoints, in the store itself.
//!
//! Whoever has the store has its checkpoints: this service after it was started anew, the one of
//! another hypervisor after the store has changed owner, at whatever moment that happened. So what
//! is in the store is right after each single write, and whoever reads it believes nothing.
//!
//! Version 2, little-endian. A *root* lies in slot 1 or 2 in turn: magic, version and number of
//! records (32 bits each), generation, the id below which all may have been given out, slots of the
//! store (32 bits), 4 bytes of zero, for each record the first slot of its chain (32 bits), and at
//! the end of the page the BLAKE3 of what stands before. The one that is right and has the higher
//! generation counts. It is written when all that it names is there, and before anything is given
//! back that it does not name any more; then the other one is cleared. A *record* (`record.rs`)
//! lies in a chain of slots, which are taken out of the store for it.

mod chain;
mod load;
mod record;
mod write;

use alloc::vec::Vec;

use crate::outside::{Outside, PAGE, Page};
use crate::store::Digest;

pub use load::Loaded;
pub(crate) use record::Head;
pub(crate) use write::Writer;

const MAGIC: u64 = u64::from_le_bytes(*b"UScatlog");
const VERSION: u32 = 2;
/// The two slots of roots.
const ROOTS: [u32; 2] = [1, 2];
const RECORDS_AT: usize = 40;
const DIGEST_AT: usize = PAGE - 32;
/// Most checkpoints in a store.
pub(crate) const MOST_RECORDS: usize = (DIGEST_AT - RECORDS_AT) / 4;
/// No id gets that far.
const MOST_ID: u64 = 1 << 62;

/// The root of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// One more with each.
    pub(crate) generation: u64,
    /// Ids below may have been given out.
    pub(crate) ids: u64,
    /// For each record the first slot of its chain.
    pub(crate) records: Vec<u32>,
}

impl Root {
    /// Writes it over the older one of the two, which is cleared then.
    pub(crate) fn write<O: Outside>(&self, slots: u32, outside: &mut O) {
        let [here, other] = if self.generation & 1 == 0 { ROOTS } else { [ROOTS[1], ROOTS[0]] };
        outside.put(here, &self.encode(slots));
        outside.put(other, &[0; PAGE]);
    }

    /// The one that counts, of a store of so many slots.
    pub(crate) fn read<O: Outside>(slots: u32, outside: &O) -> Option<Self> {
        let both = ROOTS.into_iter().filter_map(|slot| Self::decode(outside.get(slot), slots));
        both.max_by_key(|root| root.generation)
    }

    fn encode(&self, slots: u32) -> Page {
        let mut page = [0; PAGE];
        let records = self.records.get(..self.records.len().min(MOST_RECORDS)).unwrap_or_default();
        let head = [
            MAGIC,
            u64::from(VERSION) | (records.len() as u64) << 32,
            self.generation,
            self.ids,
            u64::from(slots),
        ];
        let head = head.iter().flat_map(|word| word.to_le_bytes());
        let bytes = head.chain(records.iter().flat_map(|slot| slot.to_le_bytes()));
        page.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        let (before, digest) = page.split_at_mut(DIGEST_AT);
        digest.copy_from_slice(blake3::hash(before).as_bytes());
        page
    }

    fn decode(page: &[u8], slots: u32) -> Option<Self> {
        let (before, digest) = page.split_at_checked(DIGEST_AT)?;
        let mut words = before.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        if words.next()? != MAGIC || *blake3::hash(before).as_bytes() != *digest {
            return None;
        }
        let (kind, generation, ids) = (words.next()?, words.next()?, words.next()?);
        let (version, count) = (kind as u32, (kind >> 32) as usize);
        let of_this_store = words.next()? == u64::from(slots);
        if version != VERSION || !of_this_store || count > MOST_RECORDS || ids >= MOST_ID {
            return None;
        }
        let records = before.get(RECORDS_AT..)?.as_chunks::<4>().0;
        let records = records.iter().take(count).map(|slot| u32::from_le_bytes(*slot)).collect();
        Some(Self { generation, ids, records })
    }
}

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its chain leads nowhere.
    Chain,
    /// It is not what was written.
    Digest,
    /// It makes no sense.
    Record,
    /// It is of a VM that is not known here, or has other memory.
    Vm,
    /// It names a page that is somebody else's.
    Page,
    /// There are more than there can be.
    Room,
}

/// Digest of a record.
fn digest_of(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

#[cfg(test)]
mod tests;
