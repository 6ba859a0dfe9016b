// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of the ledger: one per resource, and the course of the whole succession.
//!
//! Owns their layout, 64 bits, least significant byte first: owner (0 none, 1 first, 2 second),
//! state, VM that the resource is bound to, home, generation (32 bits, one more at every change).
//! Unknown values are refused.

use crate::Party;

/// What may be done with a resource now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its owner uses it; a vCPU runs.
    Held,
    /// Nobody uses it; either party may take it, by one compare-and-exchange. Until then it is its
    /// owner's.
    Leaving,
    /// It goes with a VM, and belongs to whom the VM belongs to.
    Bound(u8),
}

/// The word of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// Whose it is.
    pub owner: Party,
    /// What may be done with it.
    pub state: State,
    /// Whose home it is, if it is the minimum on which that party runs: a home moves last.
    pub home: Option<Party>,
    /// Number of changes so far, modulo 2^32.
    pub generation: u32,
}

/// How far the succession is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No succession: the incumbent owns everything.
    Quiet,
    /// The successor's home is being carved out.
    Carving,
    /// The successor was started and has not greeted.
    Launched,
    /// Given up before the parties agreed: the successor never may take a VM.
    Cancelled,
    /// Versions are agreed, resources move to the successor.
    Greeted,
    /// Given up after that: resources move back.
    Back,
    /// The point of no return: the incumbent has only its home left, and leaves.
    Retired,
}

/// The word of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Course {
    /// Who had everything at the start.
    pub incumbent: Party,
    /// How far it is.
    pub phase: Phase,
    /// Who was found fallen, by the other.
    pub fallen: Option<Party>,
    /// Number of changes so far, modulo 2^32.
    pub generation: u32,
}

/// A word that no party writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordError;

const fn party(bits: u8) -> Result<Option<Party>, WordError> {
    match bits {
        0 => Ok(None),
        1 => Ok(Some(Party::First)),
        2 => Ok(Some(Party::Second)),
        _ => Err(WordError),
    }
}

const fn bits(party: Option<Party>) -> u8 {
    match party {
        None => 0,
        Some(Party::First) => 1,
        Some(Party::Second) => 2,
    }
}

const fn pack(low: [u8; 4], generation: u32) -> u64 {
    u32::from_le_bytes(low) as u64 | (generation as u64) << 32
}

impl Word {
    /// Reads a word; an absent resource is `None`.
    ///
    /// # Errors
    /// No party writes such a word.
    pub fn read(raw: u64) -> Result<Option<Self>, WordError> {
        if raw == 0 {
            return Ok(None);
        }
        let [owner, state, vm, home, generation @ ..] = raw.to_le_bytes();
        let state = match (state, vm) {
            (1, 0) => State::Held,
            (2, 0) => State::Leaving,
            (3, vm) => State::Bound(vm),
            _ => return Err(WordError),
        };
        let owner = party(owner)?.ok_or(WordError)?;
        Ok(Some(Self { owner, state, home: party(home)?, generation: u32::from_le_bytes(generation) }))
    }

    /// The word's bits.
    #[must_use]
    pub const fn raw(self) -> u64 {
        let (state, vm) = match self.state {
            State::Held => (1, 0),
            State::Leaving => (2, 0),
            State::Bound(vm) => (3, vm),
        };
        pack([bits(Some(self.owner)), state, vm, bits(self.home)], self.generation)
    }
}

impl Course {
    /// Reads the course.
    ///
    /// # Errors
    /// No party writes such a word.
    pub fn read(raw: u64) -> Result<Self, WordError> {
        let [incumbent, phase, fallen, zero, generation @ ..] = raw.to_le_bytes();
        let phase = match (phase, zero) {
            (0, 0) => Phase::Quiet,
            (1, 0) => Phase::Carving,
            (2, 0) => Phase::Launched,
            (3, 0) => Phase::Cancelled,
            (4, 0) => Phase::Greeted,
            (5, 0) => Phase::Back,
            (6, 0) => Phase::Retired,
            _ => return Err(WordError),
        };
        let incumbent = party(incumbent)?.ok_or(WordError)?;
        Ok(Self { incumbent, phase, fallen: party(fallen)?, generation: u32::from_le_bytes(generation) })
    }

    /// The word's bits.
    #[must_use]
    pub const fn raw(self) -> u64 {
        let phase = match self.phase {
            Phase::Quiet => 0,
            Phase::Carving => 1,
            Phase::Launched => 2,
            Phase::Cancelled => 3,
            Phase::Greeted => 4,
            Phase::Back => 5,
            Phase::Retired => 6,
        };
        pack([bits(Some(self.incumbent)), phase, bits(self.fallen), 0], self.generation)
    }
}
