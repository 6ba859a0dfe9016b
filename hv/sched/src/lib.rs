// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who runs next on one CPU, and who is woken by time.
//!
//! Owns the ready queues (fixed priorities, first in first out within one) and the ordered list of
//! deadlines. Each CPU has its own pair; nothing here is shared between CPUs. It leaves to the
//! kernel what a thread is, when its time slice ends, and the timer hardware.
#![no_std]
#![forbid(unsafe_code)]

use core::cell::Cell;
use queue::{Links, Queue};

/// Number of priorities; the highest number runs first.
pub const PRIORITIES: usize = 256;

/// The threads that are ready on one CPU, other than the one that runs.
#[repr(C)]
pub struct ReadyQueues<Id: Copy> {
    levels: [Cell<u64>; PRIORITIES / 64],
    /// One more than the highest priority at which somebody is ready, 0 for nobody: what the fast
    /// paths look at.
    top: Cell<u16>,
    queues: [Queue<Id>; PRIORITIES],
}

impl<Id: Copy + PartialEq> ReadyQueues<Id> {
    /// Nobody is ready.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            levels: [const { Cell::new(0) }; PRIORITIES / 64],
            top: Cell::new(0),
            queues: [const { Queue::new() }; PRIORITIES],
        }
    }

    /// The highest priority at which somebody is ready.
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        self.top.get().checked_sub(1).map(|priority| priority as u8)
    }

    fn find_top(&self) -> u16 {
        let word = (0..self.levels.len()).rev().find(|&word| self.levels[word].get() != 0);
        word.map_or(0, |word| (word * 64 + 64) as u16 - self.levels[word].get().leading_zeros() as u16)
    }

    /// Whether somebody is ready at a priority above this one.
    #[must_use]
    pub fn any_above(&self, priority: u8) -> bool {
        self.top.get() > u16::from(priority) + 1
    }

    /// Whether somebody is ready at exactly this priority.
    #[must_use]
    pub fn any_at(&self, priority: u8) -> bool {
        !self.queues[usize::from(priority)].is_empty()
    }

    /// Add a thread behind the others of its priority.
    pub fn push(&self, links: &impl Links<Id>, id: Id, priority: u8) {
        self.queues[usize::from(priority)].push(links, id);
        let word = &self.levels[usize::from(priority) / 64];
        word.set(word.get() | 1 << (priority % 64));
        self.top.set(self.top.get().max(u16::from(priority) + 1));
    }

    /// Take a thread out. It must be here under this priority.
    pub fn remove(&self, links: &impl Links<Id>, id: Id, priority: u8) {
        self.queues[usize::from(priority)].remove(links, id);
        self.settle(priority);
    }

    /// Take the thread that runs next.
    pub fn pop(&self, links: &impl Links<Id>) -> Option<Id> {
        let priority = self.highest()?;
        let id = self.queues[usize::from(priority)].pop(links);
        self.settle(priority);
        id
    }

    fn settle(&self, priority: u8) {
        if self.queues[usize::from(priority)].is_empty() {
            let word = &self.levels[usize::from(priority) / 64];
            word.set(word.get() & !(1 << (priority % 64)));
            self.top.set(self.find_top());
        }
    }
}

impl<Id: Copy + PartialEq> Default for ReadyQueues<Id> {
    fn default() -> Self {
        Self::new()
    }
}

/// Threads that wait for a time, earliest first. The links must be others than those of the ready
/// queues: a thread can wait for a message and for a time at once.
#[repr(C)]
pub struct Timeouts<Id: Copy> {
    queue: Queue<Id>,
}

impl<Id: Copy + PartialEq> Timeouts<Id> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: Queue::new() }
    }

    /// The thread that is due first.
    #[must_use]
    pub fn first(&self) -> Option<Id> {
        self.queue.first()
    }

    /// Add a thread; `deadline` tells when each is due.
    pub fn insert(&self, links: &impl Links<Id>, id: Id, deadline: impl Fn(Id) -> u64) {
        let due = deadline(id);
        self.queue.insert_before(links, id, |other| deadline(other) > due);
    }

    /// Take a thread out. It must be here.
    pub fn remove(&self, links: &impl Links<Id>, id: Id) {
        self.queue.remove(links, id);
    }
}

impl<Id: Copy + PartialEq> Default for Timeouts<Id> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Links, ReadyQueues, Timeouts};
    use std::cell::RefCell;

    #[derive(Default)]
    struct Table(RefCell<[(Option<u8>, Option<u8>); 16]>);
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
    fn the_highest_priority_runs_first_and_equals_take_turns() {
        let (ready, links) = (ReadyQueues::new(), Table::default());
        for (id, priority) in [(1, 0), (2, 255), (3, 64), (4, 255), (5, 63)] {
            ready.push(&links, id, priority);
        }
        let order: std::vec::Vec<u8> = core::iter::from_fn(|| ready.pop(&links)).collect();
        assert_eq!(order, [2, 4, 3, 5, 1]);
        assert_eq!(ready.highest(), None);
    }

    #[test]
    fn above_means_strictly_above() {
        let (ready, links) = (ReadyQueues::new(), Table::default());
        ready.push(&links, 1, 63);
        assert!(ready.any_above(62) && ready.any_above(0));
        assert!(!ready.any_above(63) && !ready.any_above(64) && !ready.any_above(255));
        ready.remove(&links, 1, 63);
        assert!(!ready.any_above(0) && !ready.any_at(63));
    }

    #[test]
    fn the_earliest_deadline_comes_first() {
        let (timeouts, links) = (Timeouts::new(), Table::default());
        let due = [50u64, 20, 90, 20];
        for id in 0..4 {
            timeouts.insert(&links, id, |id| due[id as usize]);
        }
        assert_eq!(timeouts.first(), Some(1));
        timeouts.remove(&links, 1);
        assert_eq!(timeouts.first(), Some(3));
    }
}
