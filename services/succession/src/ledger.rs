// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger's rules: which change of which word is legal, by whom.
//!
//! Owns the one way to change a word: read, check, compare-and-exchange. A check that looks at a
//! second word is stable, because that word is then one that only the caller may change (a VM that
//! it holds, a vCPU of such a VM). Where the words lie is the [`Table`]'s business.

use crate::{Course, Party, Phase, Resource, Shape, State, Word};

/// Where the words are.
pub trait Table {
    /// How many there are.
    fn shape(&self) -> Shape;
    /// The word of a resource; a word that cannot be read counts as absent.
    fn word(&self, resource: Resource) -> Option<Word>;
    /// Writes a word if it still is what it was. False: it is not.
    fn exchange(&mut self, resource: Resource, old: Word, new: Word) -> bool;
    /// The course; `None` when it cannot be read.
    fn course(&self) -> Option<Course>;
    /// Writes the course if it still is what it was. False: it is not.
    fn exchange_course(&mut self, old: Course, new: Course) -> bool;

    /// The party to whom a resource belongs: by its word, or for a bound or stopped part of a VM by
    /// the VM's.
    fn owner(&self, resource: Resource) -> Option<Party> {
        let word = self.word(resource)?;
        let vm = match (resource, word.state) {
            (_, State::Bound(vm)) | (Resource::Vcpu(vm, _), State::Leaving) => vm,
            (_, State::Held | State::Leaving) => return Some(word.owner),
        };
        self.word(Resource::Vm(vm)).map(|word| word.owner)
    }

    /// Whether the party holds the resource.
    fn holds(&self, who: Party, resource: Resource) -> bool {
        self.word(resource).is_some_and(|word| word.owner == who && word.state == State::Held)
    }

    /// Whether the party holds everything.
    fn holds_all(&self, who: Party) -> bool {
        self.shape().all().all(|resource| match self.word(resource) {
            None => true,
            Some(Word { state: State::Bound(_), .. }) => self.owner(resource) == Some(who),
            Some(word) => word.owner == who && word.state == State::Held,
        })
    }

    /// Changes the word of a resource.
    ///
    /// # Errors
    /// The change is not legal, or not any more: nothing is changed.
    fn change(&mut self, who: Party, resource: Resource, change: Change) -> Result<(), Refused> {
        let old = self.word(resource).ok_or(Refused)?;
        let vm_held = match resource {
            Resource::Vcpu(vm, _) => self.holds(who, Resource::Vm(vm)),
            Resource::Vm(_) | Resource::Line(_) | Resource::Cpu(_) | Resource::Extent(_) => true,
        };
        let parts_left = match resource {
            Resource::Vm(vm) => self.shape().of(vm).filter_map(|vcpu| self.word(vcpu)).all(left),
            Resource::Vcpu(..) | Resource::Line(_) | Resource::Cpu(_) | Resource::Extent(_) => true,
        };
        let legal = match change {
            Change::Offer => old.state == State::Held && old.owner == who && parts_left,
            Change::Take => left(old),
            Change::Seize => {
                let fallen = self.course().and_then(|course| course.fallen);
                old.owner != who && fallen == Some(old.owner) && !matches!(old.state, State::Bound(_))
            }
        };
        if !(legal && vm_held) {
            return Err(Refused);
        }
        let state = match change {
            Change::Offer => State::Leaving,
            Change::Take | Change::Seize => State::Held,
        };
        let new = Word { owner: who, state, home: old.home, generation: old.generation.wrapping_add(1) };
        if self.exchange(resource, old, new) { Ok(()) } else { Err(Refused) }
    }

    /// Turns the course.
    ///
    /// # Errors
    /// The turn is not legal: nothing is changed.
    fn turn(&mut self, who: Party, turn: Turn) -> Result<(), Refused> {
        let old = self.course().ok_or(Refused)?;
        let incumbent = old.incumbent == who;
        let mut new = Course { generation: old.generation.wrapping_add(1), ..old };
        new.phase = match (turn, old.phase) {
            (Turn::Carve, Phase::Quiet) if incumbent => Phase::Carving,
            (Turn::Launch, Phase::Carving) if incumbent => Phase::Launched,
            (Turn::Greet, Phase::Launched) if incumbent => Phase::Greeted,
            (Turn::Back, Phase::Carving | Phase::Launched | Phase::Cancelled) if incumbent => {
                Phase::Cancelled
            }
            (Turn::Back, Phase::Greeted | Phase::Back) if incumbent => Phase::Back,
            (Turn::Retire, Phase::Greeted) if incumbent && self.only_home(who) => Phase::Retired,
            (Turn::Fall, phase) => phase,
            (Turn::Settle, _) if self.holds_all(who) => Phase::Quiet,
            (Turn::Carve | Turn::Launch | Turn::Greet | Turn::Back | Turn::Retire | Turn::Settle, _) => {
                return Err(Refused);
            }
        };
        match turn {
            Turn::Settle => (new.incumbent, new.fallen) = (who, None),
            Turn::Fall => new.fallen = Some(who.peer()),
            Turn::Carve | Turn::Launch | Turn::Greet | Turn::Back | Turn::Retire => {}
        }
        if self.exchange_course(old, new) { Ok(()) } else { Err(Refused) }
    }

    /// Whether the party has nothing but its home.
    fn only_home(&self, who: Party) -> bool {
        self.shape().all().filter(|r| self.owner(*r) == Some(who)).all(|resource| {
            self.word(resource).is_some_and(|word| word.home == Some(who) && word.state == State::Held)
        })
    }
}

fn left(word: Word) -> bool {
    word.state == State::Leaving
}

/// A change of a resource's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The owner has stopped using it: held becomes leaving. A VM only when its vCPUs are.
    Offer,
    /// Leaving becomes held, by whoever is first: the other party, or the owner taking it back.
    Take,
    /// What a fallen party owned becomes held by the survivor.
    Seize,
}

/// A change of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The incumbent begins.
    Carve,
    /// The carve-out is complete; the successor is started next.
    Launch,
    /// The incumbent has heard the successor and agrees.
    Greet,
    /// The incumbent gives up and wants everything back.
    Back,
    /// The incumbent has only its home and leaves.
    Retire,
    /// The other party fell and was fenced off.
    Fall,
    /// The party holds everything; it is the incumbent from here on.
    Settle,
}

/// The change is not legal, or came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;
