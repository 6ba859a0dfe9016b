// SPDX-License-Identifier: MIT OR Apache-2.0
//! The switch path: from the stop of a VM's first vCPU until it is offered, and from there until
//! all of it has been taken.
//!
//! Nothing is to be allocated or logged there, nor waited for but the answers of the VM's VMM. Owns
//! the count of what was, which each party adds to words of the bridge.

use core::sync::atomic::Ordering;

use api::estate::EXTRAS_AT;
use succession::{Action, Change, Message, Resource};

use super::bridge::{value, word};

/// Where this party is on the path.
#[derive(Default)]
pub struct Switch {
    /// What had been allocated, logged and waited for when the path began.
    before: Option<[u64; 3]>,
    /// Waits that have to be, since then.
    answers: u64,
}

impl Switch {
    /// An action is about to be performed.
    pub fn begins(&mut self, action: Action) {
        match action {
            Action::Stop { .. } | Action::Change(Resource::Vm(_), Change::Take | Change::Seize)
                if self.before.is_none() =>
            {
                (self.before, self.answers) = (Some(counts()), 0);
            }
            // All of it runs.
            Action::Send(Message::Taken(Resource::Vm(_))) => self.leave(),
            _ => {}
        }
    }

    /// Whether a VM is between its stop and its run.
    pub fn is_under_way(&self) -> bool {
        self.before.is_some()
    }

    /// The VM's VMM is about to be asked.
    pub fn asks(&mut self) {
        self.answers += 1;
    }

    /// An action has been performed.
    pub fn ends(&mut self, action: Action) {
        if matches!(action, Action::Send(Message::Commit(_))) {
            self.leave();
        }
    }

    fn leave(&mut self) {
        let Some([allocations, lines, waits]) = self.before.take() else { return };
        let before = [allocations, lines, waits.saturating_add(self.answers)];
        for ((at, now), before) in EXTRAS_AT.into_iter().zip(counts()).zip(before) {
            if let Ok(word) = word(at) {
                word.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
            }
        }
    }
}

fn counts() -> [u64; 3] {
    [rt::heap::allocations(), rt::log::lines(), rt::ipc::waits()]
}

/// The counts of both parties.
pub fn extras() -> [u64; 3] {
    EXTRAS_AT.map(value)
}
