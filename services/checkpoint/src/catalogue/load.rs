// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a catalogue that somebody else has written, as hostile as can be.
//!
//! A record is taken as a whole or not at all. First all chains are looked at, so that no page of a checkpoint is part of any record; then the
//! trees are built, in the order of the ids, so that a child shares with its parent what they have in common.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use api::checkpoint::MAX_STATE;

use super::record::{LEAF_BYTES, Record};
use super::{Flaw, Root, chain};
use crate::bitmap::Bitmap;
use crate::outside::Outside;
use crate::service::Service;
use crate::store::ZERO;
use crate::tree::{FAN, Tree};
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
    /// Takes the checkpoints of the catalogue that is in the store, if there is one. Nothing has been taken out of the store so far.
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
        let mut room = self.room();
        for (id, found) in seen {
            match self.take(outside, id, found, (&chains, &mut room)) {
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

    /// Bytes of all records together that this service has to have memory for: more than that nobody writes who has these VMs.
    fn room(&self) -> usize {
        let of = |vm: &vm::Vm| record_bytes(vm).saturating_mul(vm.setup.quota.max(1) as usize);
        self.vms.iter().map(of).fold(0, usize::saturating_add)
    }

    /// Looks at a record. No slot is read twice, however many roots lead to it: a chain with a slot of another one is none.
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
        if !record.leaves_fit() {
            return Err(Flaw::Record);
        }
        Ok((record.head.id, Seen { first, vm, chain }))
    }

    /// Takes a checkpoint whose chain is nobody else's.
    fn take<O: Outside>(
        &mut self,
        outside: &O,
        id: u64,
        seen: Seen,
        (chains, room): (&Bitmap, &mut usize),
    ) -> Result<(), Flaw> {
        let (bytes, _) = chain::read(outside, (seen.first, self.store.slots()), self.most_bytes(), |_| true)?;
        let left = room.checked_sub(bytes.len()).ok_or(Flaw::Room)?;
        let record = Record::decode(&bytes, u64::MAX)?;
        let slots = || record.leaves().flat_map(|(_, leaf)| leaf).filter(|slot| *slot != ZERO);
        let free = |slot| !chains.contains(u64::from(slot)) && self.store.can_claim(slot, seen.vm);
        if !slots().all(free) {
            return Err(Flaw::Page);
        }
        let Self { vms, store, .. } = self;
        let Some(vm) = vms.get_mut(seen.vm) else { return Err(Flaw::Vm) };
        seen.chain.iter().for_each(|slot| store.claim(*slot, seen.vm));
        let mut tree = Tree::zero(record.head.pages);
        let parent = record.head.parent.and_then(|parent| vm.checkpoints.get(&parent));
        let parent = parent.and_then(|parent| match &parent.standing {
            Standing::Complete { tree, .. } => Some(tree),
            Standing::Begun | Standing::Making | Standing::Failed(_) => None,
        });
        for (number, leaf) in record.leaves() {
            tree.load_leaf((number, &leaf), parent, store, seen.vm);
        }
        let here = vm::Record {
            parent: record.head.parent,
            state: record.state.to_vec(),
            standing: Standing::Complete { tree, digest: record.head.digest, record: seen.chain },
            at_ms: record.head.at_ms,
            new_pages: record.head.new_pages,
        };
        vm.checkpoints.insert(id, here);
        *room = left;
        Ok(())
    }
}

/// Most bytes of a record of this VM.
fn record_bytes(vm: &vm::Vm) -> usize {
    MAX_STATE as usize + (vm.setup.pages.div_ceil(FAN) as usize + 1) * LEAF_BYTES
}
