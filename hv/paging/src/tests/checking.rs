// SPDX-License-Identifier: MIT OR Apache-2.0
//! A model of what each CPU may still hold, for checking builds (invariant I11).
//!
//! No emulator at hand shows a missing flush, so a checking build keeps its own books: an access
//! fills in what the CPU may cache, a flush takes it out, and using memory anew, or relying on a
//! seal, asks whether anything is left. It owns a table of fixed size and allocates nothing. When
//! the table overflows it forgets the oldest entry and counts it: the model may then miss a bug,
//! but never reports a false one.

use addr::PhysRange;

use crate::Scope;

/// Something that a CPU may hold: a translation, or the address of a table on the way to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The CPU.
    pub cpu: usize,
    /// The space, by any number that names it.
    pub space: u64,
    /// First address that it is good for.
    pub address: u64,
    /// Number of bytes that it is good for.
    pub bytes: u64,
    /// The memory that it leads to.
    pub memory: PhysRange,
    /// Whether the CPU may write by it.
    pub writable: bool,
}

/// The books of `N` entries.
#[derive(Clone, Debug)]
pub struct Checker<const N: usize> {
    held: [Option<Held>; N],
    oldest: usize,
    lost: u64,
}

impl<const N: usize> Default for Checker<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Checker<N> {
    /// No CPU holds anything.
    #[must_use]
    pub const fn new() -> Self {
        Self { held: [None; N], oldest: 0, lost: 0 }
    }

    /// Entries that were forgotten for want of room.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// A CPU may have cached this.
    pub fn fill(&mut self, held: Held) {
        if self.held.contains(&Some(held)) {
            return;
        }
        if let Some(slot) = self.held.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(held);
        } else if let Some(slot) = self.held.get_mut(self.oldest) {
            *slot = Some(held);
            self.oldest = (self.oldest + 1) % N;
            self.lost += 1;
        }
    }

    /// A CPU has flushed a scope of a space.
    pub fn flush(&mut self, cpu: usize, space: u64, scope: Scope) {
        for slot in &mut self.held {
            let gone = slot.is_some_and(|held| held.cpu == cpu && held.space == space && held.is_in(scope));
            if gone {
                *slot = None;
            }
        }
    }

    /// Memory is about to be used for something else.
    ///
    /// # Errors
    /// What a CPU may still hold of it.
    pub fn reuse(&self, memory: PhysRange) -> Result<(), Held> {
        self.none(|held| held.memory.overlaps(memory))
    }

    /// Somebody relies on that the space cannot be written.
    ///
    /// # Errors
    /// By what a CPU may still write.
    pub fn rely_on_seal(&self, space: u64) -> Result<(), Held> {
        self.none(|held| held.space == space && held.writable)
    }

    fn none(&self, wrong: impl Fn(&Held) -> bool) -> Result<(), Held> {
        match self.held.iter().flatten().find(|held| wrong(held)) {
            Some(held) => Err(*held),
            None => Ok(()),
        }
    }
}

impl Held {
    /// Whether a flush of the scope covers it.
    fn is_in(&self, scope: Scope) -> bool {
        match scope {
            Scope::Nothing => false,
            Scope::Range { address, bytes } => {
                self.address < address.saturating_add(bytes)
                    && address < self.address.saturating_add(self.bytes)
            }
            Scope::Space => true,
        }
    }
}
