// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a record, a few slots at a time.

use alloc::vec::Vec;

use api::checkpoint::Refusal;

use super::chain::{self, PAYLOAD};
use super::record::{DIGEST_BYTES, Head, LEAF_BYTES, leaf_bytes};
use crate::outside::Outside;
use crate::store::Store;
use crate::tree::Tree;
use crate::vm::Around;

/// Slots written in one step.
const SLOTS: u32 = 8;

/// A record that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Bytes that are not in a slot yet, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// Leaves from this number on are not among them yet.
    next_leaf: u32,
    /// Bytes that are in no slot yet, those to come included.
    left: usize,
    hasher: blake3::Hasher,
    /// Slots taken so far; the last one is not written yet, once there is one.
    slots: Vec<u32>,
}

impl Writer {
    /// Begins a record. There is one for every checkpoint whose VM's name is not longer than a name may be.
    pub(crate) fn new(head: &Head, state: &[u8]) -> Result<Self, Refusal> {
        let bytes = head.encode(state).ok_or(Refusal::StoreFull)?;
        let left = bytes.len() + head.leaves as usize * LEAF_BYTES + DIGEST_BYTES;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        Ok(Self { bytes, at: 0, next_leaf: 0, left, hasher, slots: Vec::new() })
    }

    /// One bounded step; true with the last one.
    ///
    /// # Errors
    /// The store has no room.
    pub(crate) fn step<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        tree: &Tree,
    ) -> Result<bool, Refusal> {
        for _ in 0..SLOTS {
            if self.left == 0 {
                break;
            }
            self.gather(tree);
            let here = match self.slots.last() {
                Some(slot) => *slot,
                None => self.take(around)?,
            };
            let next = if self.left > PAYLOAD { self.take(around)? } else { 0 };
            let end = self.bytes.len().min(self.at + PAYLOAD);
            let part = self.bytes.get(self.at..end).unwrap_or_default();
            around.outside.put(here, &chain::page(next, self.left as u32, part));
            self.left = self.left.saturating_sub(part.len());
            self.at = end;
        }
        Ok(self.left == 0)
    }

    /// Sees to it that the next slot can be filled: leaves, then the digest.
    fn gather(&mut self, tree: &Tree) {
        let wanted = self.left.min(PAYLOAD);
        while self.bytes.len() - self.at < wanted {
            self.bytes.drain(..core::mem::take(&mut self.at));
            match tree.leaves(self.next_leaf).next() {
                Some((number, leaf)) => {
                    self.next_leaf = number + 1;
                    let bytes = leaf_bytes(number, leaf);
                    self.hasher.update(&bytes);
                    self.bytes.extend_from_slice(&bytes);
                }
                None => {
                    self.bytes.extend_from_slice(self.hasher.finalize().as_bytes());
                    // Nothing follows.
                    return;
                }
            }
        }
    }

    fn take<O>(&mut self, around: &mut Around<'_, O>) -> Result<u32, Refusal> {
        let slot = around.store.take(around.vm).ok_or(Refusal::StoreFull)?;
        self.slots.push(slot);
        Ok(slot)
    }

    /// The slots of the record, first one first.
    pub(crate) fn take_slots(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.slots)
    }

    /// Gives up.
    pub(crate) fn release(self, store: &mut Store) {
        self.slots.into_iter().for_each(|slot| store.release(slot));
    }
}
