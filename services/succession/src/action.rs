// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes into a state machine and what comes out of it.
//!
//! The service performs a list in order, tells the machine [`Event::Done`] at its end, and goes on
//! so until the machine neither moves nor wants anything; only then it gives the machine the next
//! message or command. While it waits for the other side to give, it looks at the ledger from time
//! to time ([`Event::Done`] again): who leaves with its last CPU cannot say so. It may die between
//! any two actions.

use crate::{Change, Message, Party, Resource, Turn};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Operator, to the incumbent: begin. To the successor: it was started.
    Start,
    /// The other party said something.
    Said(Message),
    /// The last list is performed.
    Done,
    /// This action of the last list failed; those after it were not performed.
    Failed(Action),
    /// Operator: give up.
    Abort,
    /// Operator: let the incumbent leave.
    Retire,
    /// The other party stands still and will not come back.
    Fell,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Say this.
    Send(Message),
    /// Change the ledger's word of a resource.
    Change(Resource, Change),
    /// Turn the course.
    Turn(Turn),
    /// Start the successor in the carve-out.
    Launch,
    /// Build this VM around its memory, running nothing; nothing to do if it is built.
    Build(u8),
    /// Stop a vCPU and put its state into the bridge.
    Stop {
        /// Its VM.
        vm: u8,
        /// Its number within the VM.
        vcpu: u8,
    },
    /// Run a vCPU from its state; nothing to do if it runs.
    Run {
        /// Its VM.
        vm: u8,
        /// Its number within the VM.
        vcpu: u8,
    },
    /// Stop using a CPU, extent or line.
    Release(Resource),
    /// Begin to use a CPU, extent or line; nothing to do if it is in use.
    Adopt(Resource),
    /// Make sure that the other party uses nothing any more: its CPUs stop.
    Fence(Party),
}

impl Action {
    /// It changes nothing but the ledger. Where it fails, the ledger says something else by now,
    /// and is looked at again; where another one fails, something that the ledger says is not so
    /// yet, and the machine goes on as after a restart, from all that it holds.
    #[must_use]
    pub const fn is_of_the_ledger(self) -> bool {
        matches!(self, Self::Change(..) | Self::Turn(_))
    }
}

/// A short list of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Actions {
    list: [Option<Action>; 3],
}

impl Actions {
    /// Nothing to do.
    pub const NONE: Self = Self { list: [None; 3] };

    /// One action.
    #[must_use]
    pub const fn one(first: Action) -> Self {
        Self { list: [Some(first), None, None] }
    }

    /// Two actions.
    #[must_use]
    pub const fn two(first: Action, second: Action) -> Self {
        Self { list: [Some(first), Some(second), None] }
    }

    /// Three actions.
    #[must_use]
    pub const fn three(first: Action, second: Action, third: Action) -> Self {
        Self { list: [Some(first), Some(second), Some(third)] }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The actions, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Action> + '_ {
        self.list.iter().filter_map(|action| *action)
    }
}
