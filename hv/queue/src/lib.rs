// SPDX-License-Identifier: MIT OR Apache-2.0
//! A first-in, first-out queue of things that carry their own links; and a lock for which CPUs take
//! turns.
//!
//! Owns the order of waiters and of ready threads. The members are named by small ids and the links
//! live with the members (a [`Links`] finds them), so that no queue ever needs memory. A member is
//! in at most one queue that uses the same links; who enqueues has to know that it is in none.
#![no_std]
#![forbid(unsafe_code)]

mod home;
mod turn;

pub use home::{Home, Post};
pub use turn::TurnLock;

use core::cell::Cell;

/// The atomics of what is shared between CPUs: `tests/model` puts others in their place.
mod atomic {
    pub use core::hint::spin_loop as pause;
    pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

/// Where the links of a member are.
pub trait Links<Id> {
    /// The member after this one.
    fn next(&self, id: Id) -> Option<Id>;
    /// The member before this one.
    fn previous(&self, id: Id) -> Option<Id>;
    /// Set the member after this one.
    fn set_next(&self, id: Id, next: Option<Id>);
    /// Set the member before this one.
    fn set_previous(&self, id: Id, previous: Option<Id>);
}

/// A queue. All zero bytes, where `Option<Id>` has the zero niche, are an empty one.
#[derive(Debug)]
#[repr(C)]
pub struct Queue<Id: Copy> {
    head: Cell<Option<Id>>,
    tail: Cell<Option<Id>>,
}

impl<Id: Copy + PartialEq> Queue<Id> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: Cell::new(None), tail: Cell::new(None) }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// The member that has waited longest.
    #[must_use]
    pub fn first(&self) -> Option<Id> {
        self.head.get()
    }

    /// Add a member behind all others.
    pub fn push(&self, links: &impl Links<Id>, id: Id) {
        let tail = self.tail.get();
        links.set_previous(id, tail);
        links.set_next(id, None);
        match tail {
            Some(tail) => links.set_next(tail, Some(id)),
            None => self.head.set(Some(id)),
        }
        self.tail.set(Some(id));
    }

    /// Add a member before the first one that `goes_after` accepts, or behind all.
    pub fn insert_before(&self, links: &impl Links<Id>, id: Id, goes_after: impl Fn(Id) -> bool) {
        let mut at = self.head.get();
        while let Some(member) = at {
            if goes_after(member) {
                break;
            }
            at = links.next(member);
        }
        let Some(after) = at else { return self.push(links, id) };
        let before = links.previous(after);
        links.set_previous(id, before);
        links.set_next(id, Some(after));
        links.set_previous(after, Some(id));
        match before {
            Some(before) => links.set_next(before, Some(id)),
            None => self.head.set(Some(id)),
        }
    }

    /// Take the member that has waited longest.
    pub fn pop(&self, links: &impl Links<Id>) -> Option<Id> {
        let id = self.head.get()?;
        self.remove(links, id);
        Some(id)
    }

    /// Take a member out, wherever it stands. It must be in this queue.
    pub fn remove(&self, links: &impl Links<Id>, id: Id) {
        let (previous, next) = (links.previous(id), links.next(id));
        match previous {
            Some(previous) => links.set_next(previous, next),
            None => self.head.set(next),
        }
        match next {
            Some(next) => links.set_previous(next, previous),
            None => self.tail.set(previous),
        }
        links.set_next(id, None);
        links.set_previous(id, None);
    }
}

impl<Id: Copy + PartialEq> Default for Queue<Id> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Links, Queue};
    use std::cell::RefCell;
    use std::vec::Vec;

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

    fn drain(queue: &Queue<u8>, links: &Table) -> Vec<u8> {
        core::iter::from_fn(|| queue.pop(links)).collect()
    }

    #[test]
    fn members_leave_in_the_order_they_came() {
        let (queue, links) = (Queue::new(), Table(RefCell::default()));
        for id in [3, 1, 4] {
            queue.push(&links, id);
        }
        assert_eq!(drain(&queue, &links), [3, 1, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn any_member_can_be_removed() {
        for gone in 0..3 {
            let (queue, links) = (Queue::new(), Table(RefCell::default()));
            (0..3).for_each(|id| queue.push(&links, id));
            queue.remove(&links, gone);
            let left: Vec<u8> = (0..3).filter(|&id| id != gone).collect();
            assert_eq!(drain(&queue, &links), left);
        }
    }

    #[test]
    fn ordered_insertion_keeps_the_order() {
        let (queue, links) = (Queue::new(), Table(RefCell::default()));
        for id in [5u8, 2, 7, 0, 6] {
            queue.insert_before(&links, id, |other| other > id);
        }
        assert_eq!(drain(&queue, &links), [0, 2, 5, 6, 7]);
    }
}
