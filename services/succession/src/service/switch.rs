// SPDX-License-Identifier: MIT OR Apache-2.0
//! The switch path: from the stop of a VM's first vCPU until it is offered, and from there until all of it has been taken.
//!
//! Nothing is to be allocated or logged there. Owns the count of what was, which each party adds to words of the bridge.

use core::sync::atomic::Ordering;

use api::estate::EXTRAS_AT;
use succession::{Action, Change, Message, Resource};

use super::bridge::{value, word};

/// Where this party is on the path.
#[derive(Default)]
pub struct Switch {
    /// What had been allocated and logged when the path began.
    before: Option<[u64; 2]>,
}

fn counts() -> [u64; 2] {
    [rt::heap::allocations(), rt::log::lines()]
}

impl Switch {
    /// An action is about to be performed.
    pub fn begins(&mut self, action: Action) {
        let first = matches!(
            action,
            Action::Stop(Resource::Vcpu(..)) | Action::Change(Resource::Vm(_), Change::Take | Change::Seize)
        );
        if first {
            self.before.get_or_insert_with(counts);
        }
    }

    /// An action has been performed.
    pub fn ends(&mut self, action: Action) {
        let last = matches!(action, Action::Send(Message::Commit(_) | Message::Taken(Resource::Vm(_))));
        let Some(before) = self.before.take_if(|_| last) else { return };
        for ((at, now), before) in EXTRAS_AT.into_iter().zip(counts()).zip(before) {
            if let Ok(word) = word(at) {
                word.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
            }
        }
    }
}

/// The counts of both parties.
pub fn extras() -> [u64; 2] {
    EXTRAS_AT.map(value)
}
