// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that has left: its capabilities, kept where no user can name them.
//!
//! What is away still stands in the tree of derivations, so that what it was derived from is never
//! taken for free and handed out anew. It comes back from here as what it was.

use crate::slot::{SlotArray, SlotMemory, peek};
use cap::{Cap, SlotRef, Slots};

/// Most pieces away at once.
const PIECES: usize = 256;

static AWAY: Away = Away(SlotArray::new());

struct Away(SlotArray<PIECES>);

// SAFETY: slots are only accessed word by word as atomics, and changed by the holder of the
// capability lock (`slot`).
unsafe impl Sync for Away {}

fn all() -> impl Iterator<Item = SlotRef> {
    (0..PIECES).map(|index| AWAY.0.at(index))
}

/// Whether a slot is one of these.
#[must_use]
pub fn is_away(slot: SlotRef) -> bool {
    (AWAY.0.at(0)..=AWAY.0.at(PIECES - 1)).contains(&slot)
}

/// A free slot for a piece that leaves.
#[must_use]
pub fn free_away_slot() -> Option<SlotRef> {
    all().find(|&slot| peek(slot).is_null())
}

/// The slot of the piece of this address and size.
#[must_use]
pub fn away_slot(base: u64, size_bits: u8) -> Option<SlotRef> {
    all().find(|&slot| {
        let cap = peek(slot);
        !cap.is_null() && cap.object == base && cap.size_bits == size_bits
    })
}

/// Move a capability there (or back), nothing else about it changed but that its books know nothing
/// of the contents.
pub fn move_away(from: SlotRef, to: SlotRef) {
    cap::move_slot(&mut SlotMemory, from, to);
    let cap = peek(to);
    SlotMemory.write_cap(to, Cap { badge: 0, aux: 0, ..cap });
}
