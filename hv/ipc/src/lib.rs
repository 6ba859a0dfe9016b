// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rendezvous of callers and receivers.
//!
//! Owns the state of an endpoint: at any moment either callers wait for a receiver, or receivers
//! for a caller, or nobody waits. Works over ids and moves no message: what is said, and to whom
//! the reply goes, is the kernel's.
#![no_std]
#![forbid(unsafe_code)]

use core::cell::Cell;
use queue::{Links, Queue};

/// Who waits at a meeting point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting<Id> {
    /// Nobody.
    Nobody,
    /// At least this caller, which came first.
    Callers(Id),
    /// At least this receiver, which came first.
    Receivers(Id),
}

/// A meeting point. All zero bytes are one where nobody waits.
#[repr(C)]
pub struct Meeting<Id: Copy> {
    queue: Queue<Id>,
    receivers: Cell<bool>,
}

impl<Id: Copy + PartialEq> Meeting<Id> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Queue::new(), receivers: Cell::new(false) }
    }

    /// Who waits.
    #[must_use]
    pub fn waiting(&self) -> Waiting<Id> {
        match self.queue.first() {
            None => Waiting::Nobody,
            Some(id) if self.receivers.get() => Waiting::Receivers(id),
            Some(id) => Waiting::Callers(id),
        }
    }

    /// A caller waits. No receiver may be waiting.
    pub fn wait_as_caller(&self, links: &impl Links<Id>, id: Id) {
        debug_assert!(!matches!(self.waiting(), Waiting::Receivers(_)));
        self.receivers.set(false);
        self.queue.push(links, id);
    }

    /// A receiver waits. No caller may be waiting.
    pub fn wait_as_receiver(&self, links: &impl Links<Id>, id: Id) {
        debug_assert!(!matches!(self.waiting(), Waiting::Callers(_)));
        self.receivers.set(true);
        self.queue.push(links, id);
    }

    /// Somebody who waits here stops waiting: it was met, or it gave up.
    pub fn leave(&self, links: &impl Links<Id>, id: Id) {
        self.queue.remove(links, id);
    }
}

impl<Id: Copy + PartialEq> Default for Meeting<Id> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Links, Meeting, Waiting};
    use std::cell::RefCell;

    #[derive(Default)]
    struct Table(RefCell<[(Option<u8>, Option<u8>); 8]>);
    impl Links<u8> for Table {
        fn next(&self, id: u8) -> Option<u8> {
            self.0.borrow()[id as usize].0
        }
        fn previous(&self, id: u8) -> Option<u8> {
            self.0.borrow()[id as usize].1
        }
        fn set_next(&self, id: u8, next: Option<u8>) {
            self.0.borrow_mut()[id as usize].0 = next;
        }
        fn set_previous(&self, id: u8, previous: Option<u8>) {
            self.0.borrow_mut()[id as usize].1 = previous;
        }
    }

    #[test]
    fn callers_are_met_in_the_order_they_came() {
        let (meeting, links) = (Meeting::new(), Table::default());
        meeting.wait_as_caller(&links, 1);
        meeting.wait_as_caller(&links, 2);
        assert_eq!(meeting.waiting(), Waiting::Callers(1));
        meeting.leave(&links, 1);
        assert_eq!(meeting.waiting(), Waiting::Callers(2));
    }

    #[test]
    fn the_point_changes_sides_when_it_is_empty() {
        let (meeting, links) = (Meeting::new(), Table::default());
        meeting.wait_as_receiver(&links, 3);
        assert_eq!(meeting.waiting(), Waiting::Receivers(3));
        meeting.leave(&links, 3);
        meeting.wait_as_caller(&links, 4);
        assert_eq!(meeting.waiting(), Waiting::Callers(4));
        meeting.leave(&links, 4);
        assert_eq!(meeting.waiting(), Waiting::Nobody);
    }
}
