// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots in a vector.

use cap::slot::SLOT_SIZE;
use cap::{Cap, Links, Slot, SlotRef, Slots};

/// The slot with this index.
pub fn slot(index: u64) -> SlotRef {
    SlotRef::new((index + 1) * SLOT_SIZE).unwrap()
}

/// All slots that there are.
pub struct Table(Vec<Slot>);

impl Table {
    pub fn new(count: usize) -> Self {
        Self(vec![Slot::default(); count])
    }

    pub fn index(slot: SlotRef) -> u64 {
        slot.get() / SLOT_SIZE - 1
    }

    /// Panics where an invariant is broken.
    #[track_caller]
    pub fn check(&self) {
        assert_eq!(cap::check(self, (0..self.0.len() as u64).map(slot)), Ok(()));
    }
}

impl Slots for Table {
    fn read(&self, slot: SlotRef) -> Slot {
        self.0[Self::index(slot) as usize]
    }

    fn write_cap(&mut self, slot: SlotRef, cap: Cap) {
        self.0[Self::index(slot) as usize].cap = cap;
    }

    fn write_links(&mut self, slot: SlotRef, links: Links) {
        self.0[Self::index(slot) as usize].links = links;
    }
}
