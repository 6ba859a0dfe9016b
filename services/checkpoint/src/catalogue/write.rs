// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a record, a few slots at a time: first the leaves that lie nowhere in the store yet,
//! then what names them.

use alloc::vec::Vec;

use api::checkpoint::Refusal;

use super::chain::{self, PAYLOAD};
use super::digest_of;
use super::record::{Entry, Head, leaf_page};
use crate::leaf::Place;
use crate::outside::Outside;
use crate::store::Store;
use crate::tree::Tree;
use crate::vm::Around;

/// Slots written in one step.
const SLOTS: u32 = 16;
/// Leaves looked at in one step.
const LEAVES: usize = 256;

/// A record that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    phase: Phase,
    /// Bytes of the record so far.
    bytes: Vec<u8>,
    /// Numbers of the leaves that got a page for it.
    placed: Vec<u32>,
    /// Slots taken for the bytes; the last one is not written yet, once there is one.
    slots: Vec<u32>,
}

#[derive(Debug)]
enum Phase {
    /// Leaves from this number on may lie nowhere.
    Leaves(u32),
    /// Bytes from here on are in no slot.
    Chain(usize),
}

impl Writer {
    /// Begins a record. There is one for every checkpoint whose VM's name is not longer than a name
    /// may be.
    pub(crate) fn new(head: Head, state: &[u8]) -> Result<Self, Refusal> {
        let bytes = head.encode(state).ok_or(Refusal::StoreFull)?;
        Ok(Self { phase: Phase::Leaves(0), bytes, placed: Vec::new(), slots: Vec::new() })
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
        match self.phase {
            Phase::Leaves(from) => {
                self.phase = match place_leaves(around, (tree, from), &mut self.placed)? {
                    Some(next) => Phase::Leaves(next),
                    None => {
                        self.name_leaves(tree);
                        Phase::Chain(0)
                    }
                };
                Ok(false)
            }
            Phase::Chain(at) => {
                let at = self.write_chain(around, at)?;
                self.phase = Phase::Chain(at);
                Ok(at >= self.bytes.len())
            }
        }
    }

    /// Ends the record with the entries of the leaves and the digest.
    fn name_leaves(&mut self, tree: &Tree) {
        for (number, leaf) in tree.leaves(0) {
            if let (Some(place), Some(digest)) = (leaf.place(), leaf.digest()) {
                self.bytes.extend_from_slice(&Entry { number, place, digest }.encode());
            }
        }
        self.bytes.extend_from_slice(&digest_of(&self.bytes));
    }

    /// Writes some slots of the chain, from the byte `at` on; where to go on.
    fn write_chain<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        mut at: usize,
    ) -> Result<usize, Refusal> {
        for _ in 0..SLOTS {
            let rest = self.bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let (left, part) = (rest.len(), rest.get(..PAYLOAD).unwrap_or(rest));
            let here = match self.slots.last() {
                Some(slot) => *slot,
                None => take(around, &mut self.slots)?,
            };
            let next = if left > PAYLOAD { take(around, &mut self.slots)? } else { 0 };
            around.outside.put(here, &chain::page(next, left as u32, part));
            at += part.len();
        }
        Ok(at)
    }

    /// The slots of the record, first one first.
    pub(crate) fn take_slots(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.slots)
    }

    /// Gives up: no record names the leaves that got a page for this one.
    pub(crate) fn release(self, tree: &Tree, store: &mut Store) {
        self.placed
            .iter()
            .filter_map(|number| tree.leaf_of(*number))
            .for_each(|leaf| leaf.leave_place(store));
        self.slots.into_iter().for_each(|slot| store.release(slot));
    }
}

/// Takes a slot of the chain.
fn take<O>(around: &mut Around<'_, O>, slots: &mut Vec<u32>) -> Result<u32, Refusal> {
    let slot = around.store.take(around.vm).ok_or(Refusal::StoreFull)?;
    slots.push(slot);
    Ok(slot)
}

/// Puts some leaves from a number on into the store that are not there; the leaf to go on with.
fn place_leaves<O: Outside>(
    around: &mut Around<'_, O>,
    (tree, from): (&Tree, u32),
    placed: &mut Vec<u32>,
) -> Result<Option<u32>, Refusal> {
    let most = placed.len() + SLOTS as usize;
    for (looked, (number, leaf)) in tree.leaves(from).enumerate() {
        if looked >= LEAVES || placed.len() >= most {
            return Ok(Some(number));
        }
        if leaf.place().is_none() {
            let slot = around.store.take(around.vm).ok_or(Refusal::StoreFull)?;
            let (page, sum) = leaf_page(leaf.slots());
            around.outside.put(slot, &page);
            leaf.set_place(Place { slot, sum });
            placed.push(number);
        }
    }
    Ok(None)
}
