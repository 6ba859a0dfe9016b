// SPDX-License-Identifier: MIT OR Apache-2.0
//! The books of the page store: which slot is in use, by how many references, and for whom.
//!
//! Slot 0 is the zero page: always there, never counted; the next two are the roots of the
//! catalogue ([`crate::catalogue`]), not counted either. Each VM may use so many slots at most, so
//! that one cannot take the room of another. The pages themselves are behind [`crate::Outside`].

use alloc::vec;
use alloc::vec::Vec;

/// Slot of the zero page.
pub const ZERO: u32 = 0;

/// First slot that is given out: those before are the zero page and the two roots of the catalogue.
pub(crate) const FIRST: u32 = 3;

/// Digest of a checkpoint, or of something in the catalogue: BLAKE3.
pub(crate) type Digest = [u8; 32];

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    references: u32,
    owner: u16,
    /// Sum of the page, once made.
    sum: Option<u64>,
}

/// The books.
#[derive(Debug)]
pub(crate) struct Store {
    slots: Vec<Slot>,
    free: Vec<u32>,
    owners: Vec<Owner>,
    referenced: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    used: u32,
    limit: u32,
}

impl Store {
    /// Books of `slots` slots (those before [`FIRST`] included), shared by owners according to
    /// their weights.
    pub(crate) fn new(slots: u32, weights: &[u64]) -> Self {
        let room = u64::from(slots.saturating_sub(FIRST));
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let share = |weight: &u64| (u128::from(room) * u128::from(*weight) / sum.max(1)) as u32;
        Self {
            slots: vec![Slot::default(); slots as usize],
            free: (FIRST..slots).rev().collect(),
            owners: weights.iter().map(|weight| Owner { used: 0, limit: share(weight) }).collect(),
            referenced: 0,
        }
    }

    /// Slots that can be given out.
    pub(crate) fn size(&self) -> u64 {
        self.slots.len().saturating_sub(FIRST as usize) as u64
    }

    /// All slots.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Slots in use.
    pub(crate) fn used(&self) -> u64 {
        self.size() - self.free.len() as u64
    }

    /// References to slots in use.
    pub(crate) fn referenced(&self) -> u64 {
        self.referenced
    }

    /// Whether an owner can get a slot.
    pub(crate) fn has_room(&self, owner: usize) -> bool {
        !self.free.is_empty() && self.owners.get(owner).is_some_and(|owner| owner.used < owner.limit)
    }

    /// Take a slot, with one reference.
    pub(crate) fn take(&mut self, owner: usize) -> Option<u32> {
        if !self.has_room(owner) {
            return None;
        }
        let slot = self.free.pop()?;
        self.owners.get_mut(owner)?.used += 1;
        *self.slots.get_mut(slot as usize)? = Slot { references: 1, owner: owner as u16, ..Slot::default() };
        self.referenced += 1;
        Some(slot)
    }

    /// Add a reference.
    pub(crate) fn retain(&mut self, slot: u32) {
        if slot == ZERO {
            return;
        }
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            assert!(entry.references > 0, "a slot that is not in use gets no reference");
            entry.references += 1;
            self.referenced += 1;
        }
    }

    /// Drop a reference; the slot is free after the last one.
    pub(crate) fn release(&mut self, slot: u32) {
        if slot == ZERO {
            return;
        }
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            assert!(entry.references > 0, "a slot is released as often as it was retained");
            entry.references -= 1;
            self.referenced -= 1;
            if entry.references == 0 {
                if let Some(owner) = self.owners.get_mut(usize::from(entry.owner)) {
                    owner.used -= 1;
                }
                self.free.push(slot);
            }
        }
    }

    /// Whether nobody has a slot that a catalogue names.
    pub(crate) fn is_unclaimed(&self, slot: u32) -> bool {
        slot >= FIRST && self.slots.get(slot as usize).is_some_and(|entry| entry.references == 0)
    }

    /// Whether a slot that a catalogue names can be the owner's: nobody has it, or this owner has
    /// it already.
    pub(crate) fn can_claim(&self, slot: u32, owner: usize) -> bool {
        let is_own = |entry: &Slot| entry.references == 0 || usize::from(entry.owner) == owner;
        slot >= FIRST && self.slots.get(slot as usize).is_some_and(is_own)
    }

    /// Add a reference to a slot that a catalogue names, and that can be claimed. It counts against
    /// the owner's limit, and may exceed it. [`Store::claimed`] comes before anything is taken or
    /// released again.
    pub(crate) fn claim(&mut self, slot: u32, owner: usize) {
        if !self.can_claim(slot, owner) {
            return;
        }
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            if entry.references == 0 {
                *entry = Slot { owner: owner as u16, ..Slot::default() };
                if let Some(owner) = self.owners.get_mut(owner) {
                    owner.used += 1;
                }
            }
            entry.references += 1;
            self.referenced += 1;
        }
    }

    /// All that a catalogue names is claimed: the rest is free.
    pub(crate) fn claimed(&mut self) {
        let free = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|entry| entry.references == 0);
        self.free = (FIRST..self.slots()).rev().filter(free).collect();
    }

    /// The sum of a slot's page, if it was made already.
    pub(crate) fn sum(&self, slot: u32) -> Option<u64> {
        self.slots.get(slot as usize).and_then(|entry| entry.sum)
    }

    /// Keep the sum of a slot's page.
    pub(crate) fn set_sum(&mut self, slot: u32, sum: u64) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.sum = Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Store, ZERO};

    #[test]
    fn a_slot_is_free_again_after_its_last_reference() {
        let mut store = Store::new(5, &[1]);
        let slot = store.take(0).unwrap();
        store.retain(slot);
        store.release(slot);
        assert_eq!((store.used(), store.referenced()), (1, 1));
        store.release(slot);
        assert_eq!((store.used(), store.referenced()), (0, 0));
    }

    #[test]
    fn one_owner_cannot_take_the_room_of_another() {
        let mut store = Store::new(13, &[3, 1, 1]);
        while store.take(0).is_some() {}
        assert_eq!(store.used(), 6);
        assert!(store.has_room(1) && !store.has_room(0) && !store.has_room(7));
    }

    #[test]
    fn a_slot_that_is_taken_again_has_no_sum() {
        let mut store = Store::new(4, &[1]);
        let slot = store.take(0).unwrap();
        store.set_sum(slot, 7);
        assert_eq!(store.sum(slot), Some(7));
        store.release(slot);
        assert_eq!(store.take(0), Some(slot));
        assert_eq!(store.sum(slot), None);
    }

    #[test]
    fn the_zero_page_is_never_taken_or_freed() {
        let mut store = Store::new(4, &[1]);
        store.retain(ZERO);
        store.release(ZERO);
        store.release(ZERO);
        assert_ne!(store.take(0), Some(ZERO));
        assert_eq!(store.take(0), None);
    }

    #[test]
    fn a_store_without_pages_or_owners_is_full() {
        assert!(!Store::new(0, &[1]).has_room(0));
        assert!(!Store::new(3, &[1]).has_room(0));
        assert!(!Store::new(5, &[]).has_room(0));
        assert!(!Store::new(5, &[0]).has_room(0));
    }

    #[test]
    fn what_is_claimed_is_not_given_out_and_stays_with_its_owner() {
        let mut store = Store::new(8, &[1, 1]);
        assert!(!store.can_claim(2, 0) && !store.can_claim(8, 0) && store.can_claim(4, 0));
        for slot in [4, 4, 5, 6] {
            store.claim(slot, 0);
        }
        assert!(!store.can_claim(4, 1));
        store.claim(4, 1);
        store.claimed();
        assert_eq!((store.used(), store.referenced()), (3, 4));
        assert!(!store.has_room(0), "it has more than its share");
        assert_eq!([store.take(1), store.take(1), store.take(1)], [Some(3), Some(7), None]);
        for slot in [4, 4, 5, 6, 3, 7] {
            store.release(slot);
        }
        assert_eq!((store.used(), store.referenced()), (0, 0));
    }
}
