// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of address spaces.
//!
//! A frame capability remembers where it is mapped by the number of the space, not by its address:
//! a space can die before its frames are unmapped, and its memory can be something else by then. A
//! number is never used twice. How many spaces can exist at once is fixed, as the number of ASIDs
//! of a processor is.

use crate::reference::Ref;
use crate::{GuestSpace, HostSpace};
use core::sync::atomic::{AtomicU64, Ordering};

/// Most spaces at once.
const SPACES: usize = 4096;
const GUEST: u64 = 1;

struct Entry {
    /// Times this entry was used.
    generation: AtomicU64,
    /// Address of the space, with [`GUEST`] in bit 0; 0 if free.
    address: AtomicU64,
}

static ENTRIES: [Entry; SPACES] =
    [const { Entry { generation: AtomicU64::new(0), address: AtomicU64::new(0) } }; SPACES];
/// Where to look first for a free entry.
static HINT: AtomicU64 = AtomicU64::new(0);

/// Numbers in use.
static USED: AtomicU64 = AtomicU64::new(0);

/// A space of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnySpace {
    /// A user page table.
    Host(Ref<HostSpace>),
    /// A nested page table.
    Guest(Ref<GuestSpace>),
}

/// How many spaces there can be besides those that are. For the holder of the capability lock.
#[must_use]
pub fn numbers_left() -> u64 {
    (SPACES as u64).saturating_sub(USED.load(Ordering::Relaxed))
}

/// Give a new space its number. `None` if there are too many. For the holder of the capability
/// lock.
#[must_use]
pub fn enter_space(space: AnySpace) -> Option<u64> {
    let address = match space {
        AnySpace::Host(space) => space.address(),
        AnySpace::Guest(space) => space.address() | GUEST,
    };
    let first = HINT.load(Ordering::Relaxed) as usize;
    let index = (0..SPACES)
        .map(|offset| (first + offset) % SPACES)
        .find(|&index| ENTRIES[index].address.load(Ordering::Relaxed) == 0)?;
    HINT.store(index as u64 + 1, Ordering::Relaxed);
    let entry = &ENTRIES[index];
    let generation = entry.generation.load(Ordering::Relaxed) + 1;
    entry.generation.store(generation, Ordering::Relaxed);
    entry.address.store(address, Ordering::Relaxed);
    USED.fetch_add(1, Ordering::Relaxed);
    Some(generation * SPACES as u64 + index as u64)
}

/// The space with this number, if it still exists.
#[must_use]
pub fn space_of(id: u64) -> Option<AnySpace> {
    let entry = &ENTRIES[id as usize % SPACES];
    if entry.generation.load(Ordering::Relaxed) != id / SPACES as u64 {
        return None;
    }
    let address = entry.address.load(Ordering::Relaxed);
    if address & GUEST != 0 {
        Some(AnySpace::Guest(Ref::from_address(address & !GUEST)?))
    } else {
        Some(AnySpace::Host(Ref::from_address(address)?))
    }
}

/// The space with this number is gone. With every CPU stopped.
pub fn leave_space(id: u64) {
    if space_of(id).is_some() {
        ENTRIES[id as usize % SPACES].address.store(0, Ordering::Relaxed);
        USED.fetch_sub(1, Ordering::Relaxed);
    }
}
