// SPDX-License-Identifier: MIT OR Apache-2.0
//! A leaf of a tree: the slots of 512 pages, and what is known of them together.
//!
//! A leaf is shared by all checkpoints in which none of its pages differs. What was made of it
//! once, its digest and its page in the store, is therefore kept with it: a later checkpoint pays
//! for the leaves that were written, whatever the size of the VM. To change a leaf is to lose both.

use core::cell::Cell;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::outside::{PAGE, Page};
use crate::store::{Store, ZERO};

/// Pages of a leaf, and leaves of a branch of a tree.
pub(crate) const FAN: u64 = 512;

/// Slots of 512 pages.
pub(crate) type Slots = [u32; FAN as usize];

/// Digest of a leaf: against rot, not against forgers (`docs/adr/0009-sums-of-pages.md`).
pub(crate) type LeafDigest = u128;

/// Where a leaf lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Slot of its page.
    pub(crate) slot: u32,
    /// Sum of that page.
    pub(crate) sum: u128,
}

/// A leaf.
#[derive(Debug)]
pub(crate) struct Leaf {
    slots: Slots,
    digest: Cell<Option<LeafDigest>>,
    /// The leaf has a reference to the slot.
    place: Cell<Option<Place>>,
}

impl Leaf {
    /// A leaf with these slots.
    pub(crate) const fn new(slots: Slots) -> Self {
        Self { slots, digest: Cell::new(None), place: Cell::new(None) }
    }

    /// A leaf as a catalogue has it.
    pub(crate) const fn loaded(slots: Slots, digest: LeafDigest, place: Place) -> Self {
        Self { slots, digest: Cell::new(Some(digest)), place: Cell::new(Some(place)) }
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Whether all of its pages are zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.slots.iter().all(|slot| *slot == ZERO)
    }

    /// The slots, to be changed: what was made of them is lost.
    pub(crate) fn change(&mut self, store: &mut Store) -> &mut Slots {
        self.digest.set(None);
        self.leave_place(store);
        &mut self.slots
    }

    /// Gives back what it has in the store.
    pub(crate) fn release(self, store: &mut Store) {
        self.slots.iter().for_each(|slot| store.release(*slot));
        self.leave_place(store);
    }

    /// Its digest, if it has been made.
    pub(crate) fn digest(&self) -> Option<LeafDigest> {
        self.digest.get()
    }

    /// Makes the digest out of the sums of its pages, in order.
    pub(crate) fn make_digest(&self, sums: &[u64; FAN as usize]) {
        let mut bytes: Page = [0; PAGE];
        for (to, sum) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
            *to = sum.to_le_bytes();
        }
        self.digest.set(Some(xxh3_128(&bytes)));
    }

    /// Where it lies in the store, if it does.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place.get()
    }

    /// It lies nowhere in the store any more: no record names its page.
    pub(crate) fn leave_place(&self, store: &mut Store) {
        if let Some(place) = self.place.take() {
            store.release(place.slot);
        }
    }

    /// It lies in the store from now on, and has taken over the reference to the slot.
    pub(crate) fn set_place(&self, place: Place) {
        self.place.set(Some(place));
    }
}

/// A copy has the slots and nothing that was made of them.
impl Clone for Leaf {
    fn clone(&self) -> Self {
        Self::new(self.slots)
    }
}

/// Sum of a page that is not zero. That of the zero page is 0, without being looked at.
pub(crate) fn sum_of(page: &[u8]) -> u64 {
    xxh3_64(page)
}

#[cfg(test)]
mod tests {
    use super::{Leaf, Place};
    use crate::store::{Store, ZERO};

    fn made(store: &mut Store) -> Leaf {
        let mut slots = [ZERO; 512];
        slots[7] = store.take(0).unwrap();
        let leaf = Leaf::new(slots);
        leaf.make_digest(&[3; 512]);
        leaf.set_place(Place { slot: store.take(0).unwrap(), sum: 5 });
        leaf
    }

    #[test]
    fn a_leaf_that_changes_loses_what_was_made_of_it() {
        let mut store = Store::new(10, &[1]);
        let mut leaf = made(&mut store);
        let before = leaf.digest();
        assert!(before.is_some());
        leaf.change(&mut store)[8] = store.take(0).unwrap();
        assert_eq!((leaf.digest(), leaf.place(), store.used()), (None, None, 2));
        leaf.release(&mut store);
        assert_eq!(store.used(), 0);
    }

    #[test]
    fn a_copy_of_a_leaf_has_no_page_in_the_store() {
        let mut store = Store::new(10, &[1]);
        let leaf = made(&mut store);
        let copy = leaf.clone();
        assert_eq!((copy.digest(), copy.place(), copy.slots()), (None, None, leaf.slots()));
    }

    #[test]
    fn the_digest_tells_one_sum_from_another_and_where_it_stands() {
        let digest = |sums: &[u64; 512]| {
            let leaf = Leaf::new([ZERO; 512]);
            leaf.make_digest(sums);
            leaf.digest()
        };
        let mut sums = [0; 512];
        let zero = digest(&sums);
        sums[3] = 1;
        let third = digest(&sums);
        sums.swap(3, 4);
        assert!(zero != third && third != digest(&sums) && zero != digest(&sums));
    }
}
