// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a catalogue that somebody else has written, as hostile as can be.
//!
//! A record is taken as a whole or not at all. First all chains are looked at, so that no page of a
//! checkpoint is part of any record; then the trees are built. Records of one VM may name the same
//! leaf, which they then share; apart from that a slot is either of a chain, or a leaf's page, or a
//! page of guests.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

use api::checkpoint::MAX_STATE;

use super::record::{ENTRY_BYTES, Entry, Record, leaf_slots};
use super::{Flaw, Root, chain};
use crate::bitmap::Bitmap;
use crate::leaf::{FAN, Leaf};
use crate::outside::Outside;
use crate::service::Service;
use crate::store::{Store, ZERO};
use crate::tree::Tree;
use crate::vm::{self, Standing};

/// What became of a catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Checkpoints that are here.
    pub taken: usize,
    /// Records that were refused.
    pub refused: usize,
}

/// A record whose chain was looked at.
struct Seen {
    first: u32,
    vm: usize,
    chain: Vec<u32>,
}

impl Service {
    /// Takes the checkpoints of the catalogue that is in the store, if there is one. Nothing has
    /// been taken out of the store so far.
    pub(crate) fn load<O: Outside>(&mut self, outside: &O) -> Loaded {
        let slots = self.store.slots();
        let mut loaded = Loaded::default();
        let Some(root) = Root::read(slots, outside) else { return loaded };
        (self.next_id, self.generation) = (root.ids.max(1), root.generation);
        let (mut seen, mut chains) = (BTreeMap::new(), Bitmap::empty(u64::from(slots)));
        for &first in &root.records {
            match self.look(outside, first, root.ids, &mut chains) {
                Ok((id, found)) if !seen.contains_key(&id) => drop(seen.insert(id, found)),
                Ok(_) | Err(_) => loaded.refused += 1,
            }
        }
        let mut known = Known {
            room: self.room(),
            leaves: BTreeMap::new(),
            places: Bitmap::empty(u64::from(slots)),
            chains,
        };
        for (id, found) in seen {
            match self.take(outside, id, found, &mut known) {
                Ok(()) => loaded.taken += 1,
                Err(_) => loaded.refused += 1,
            }
        }
        self.store.claimed();
        loaded
    }

    /// Most bytes of a record.
    fn most_bytes(&self) -> usize {
        self.vms.iter().map(record_bytes).max().unwrap_or(0)
    }

    /// Bytes of all records together that this service has to have memory for: more than that
    /// nobody writes who has these VMs.
    fn room(&self) -> usize {
        let of = |vm: &vm::Vm| record_bytes(vm).saturating_mul(vm.setup.quota.max(1) as usize);
        self.vms.iter().map(of).fold(0, usize::saturating_add)
    }

    /// Looks at a record. No slot is read twice, however many roots lead to it: a chain with a slot
    /// of another one is none.
    fn look<O: Outside>(
        &self,
        outside: &O,
        first: u32,
        ids: u64,
        chains: &mut Bitmap,
    ) -> Result<(u64, Seen), Flaw> {
        let may_read = |slot| {
            let fresh = !chains.contains(u64::from(slot));
            chains.set(u64::from(slot), true);
            fresh
        };
        let (bytes, chain) = chain::read(outside, (first, self.store.slots()), self.most_bytes(), may_read)?;
        let record = Record::decode(&bytes, ids)?;
        let known = |vm: &vm::Vm| vm.setup.name == record.head.vm && vm.setup.pages == record.head.pages;
        let vm = self.vms.iter().position(known).ok_or(Flaw::Vm)?;
        if !record.entries_fit() {
            return Err(Flaw::Record);
        }
        Ok((record.head.id, Seen { first, vm, chain }))
    }

    /// Takes a checkpoint whose chain is nobody else's.
    fn take<O: Outside>(&mut self, outside: &O, id: u64, seen: Seen, known: &mut Known) -> Result<(), Flaw> {
        let (bytes, _) = chain::read(outside, (seen.first, self.store.slots()), self.most_bytes(), |_| true)?;
        let record = Record::decode(&bytes, u64::MAX)?;
        // Refused ones count as well: what is read for them takes time.
        known.room = known.room.checked_sub(memory_of(&bytes, &record)).ok_or(Flaw::Room)?;
        let Self { vms, store, .. } = self;
        let Some(vm) = vms.get_mut(seen.vm) else { return Err(Flaw::Vm) };
        let leaves = known.find(outside, store, (seen.vm, &record))?;
        seen.chain.iter().for_each(|slot| store.claim(*slot, seen.vm));
        let mut tree = Tree::zero(record.head.pages);
        for (entry, leaf) in leaves {
            if known.leaves.insert(entry.place.slot, (seen.vm, entry, Rc::clone(&leaf))).is_none() {
                known.places.set(u64::from(entry.place.slot), true);
                let slots = leaf.slots().iter().chain([&entry.place.slot]);
                slots.filter(|slot| **slot != ZERO).for_each(|slot| store.claim(*slot, seen.vm));
            }
            tree.load_leaf(entry.number, leaf);
        }
        let here = vm::Record {
            parent: record.head.parent,
            state: record.state.to_vec(),
            standing: Standing::Complete { tree, digest: record.head.digest, record: seen.chain },
            at_ms: record.head.at_ms,
            new_pages: record.head.new_pages,
        };
        vm.checkpoints.insert(id, here);
        Ok(())
    }
}

/// What is known of the store while records are taken.
struct Known {
    /// Bytes that may still be taken into memory.
    room: usize,
    /// Slots of all chains.
    chains: Bitmap,
    /// Slots of leaves' pages.
    places: Bitmap,
    /// Leaves that records have, by the slots of their pages: whose, and what was said of them.
    leaves: BTreeMap<u32, (usize, Entry, Rc<Leaf>)>,
}

impl Known {
    /// The leaves of a record of a VM, if all can be its own. Nothing is claimed yet.
    fn find<O: Outside>(
        &self,
        outside: &O,
        store: &Store,
        (vm, record): (usize, &Record<'_>),
    ) -> Result<Vec<(Entry, Rc<Leaf>)>, Flaw> {
        let own: BTreeSet<u32> = record.entries().map(|entry| entry.place.slot).collect();
        let mut leaves = Vec::new();
        for entry in record.entries() {
            let leaf = match self.leaves.get(&entry.place.slot) {
                Some((whose, known, leaf)) if *whose == vm && *known == entry => Rc::clone(leaf),
                Some(_) => return Err(Flaw::Page),
                None => {
                    let slot = entry.place.slot;
                    if self.chains.contains(u64::from(slot)) || !store.is_unclaimed(slot) {
                        return Err(Flaw::Page);
                    }
                    let slots = leaf_slots(outside.get(slot), entry.place.sum).ok_or(Flaw::Digest)?;
                    let is_meta = |slot: u32| {
                        let known = [&self.chains, &self.places].into_iter();
                        known.into_iter().any(|known| known.contains(u64::from(slot))) || own.contains(&slot)
                    };
                    let first = u64::from(entry.number) * FAN;
                    for (page, slot) in (first..).zip(slots).filter(|(_, slot)| *slot != ZERO) {
                        if page >= record.head.pages || is_meta(slot) || !store.can_claim(slot, vm) {
                            return Err(Flaw::Page);
                        }
                    }
                    Rc::new(Leaf::loaded(slots, entry.digest, entry.place))
                }
            };
            leaves.push((entry, leaf));
        }
        // One page is one leaf.
        if own.len() == leaves.len() { Ok(leaves) } else { Err(Flaw::Page) }
    }
}

/// Memory that a record takes.
fn memory_of(bytes: &[u8], record: &Record<'_>) -> usize {
    bytes.len() + record.entries().count() * size_of::<Leaf>()
}

/// Most bytes of a record of this VM, and memory that it takes.
fn record_bytes(vm: &vm::Vm) -> usize {
    let leaves = vm.setup.pages.div_ceil(FAN) as usize + 1;
    MAX_STATE as usize + leaves.saturating_mul(ENTRY_BYTES + size_of::<Leaf>())
}
