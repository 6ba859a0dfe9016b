// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a thread.
//!
//! A page: registers, state, links, and the slots that hold the capabilities it is bound to. What
//! is cached from those slots (addresses) is cleared by the kernel's finaliser when the slot is.

use crate::reference::{Object, Ref, Tag};
use crate::slot::SlotArray;
use crate::{Endpoint, Notification, Reply, Vcpu};
use abi::object::ObjectType;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use queue::{Home, Links, Post};
use x86_machine::context::UserContext;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ThreadState {
    /// Not started, or suspended.
    Inactive = 0,
    /// Runs, or is in the ready queue of its CPU.
    Ready = 1,
    /// On its way to the CPU where it wants to call.
    Transit = 2,
    /// In the queue of an endpoint, as a caller.
    Calling = 3,
    /// Held by a reply object.
    AwaitingReply = 4,
    /// In the queue of an endpoint, as a receiver.
    Receiving = 5,
    /// Waits for a notification.
    Waiting = 6,
}

/// The slots of a thread, in the order of their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ThreadSlot {
    /// Its CNode.
    CNode = 0,
    /// Its host space.
    Space = 1,
    /// The frame of its IPC buffer.
    Buffer = 2,
    /// The endpoint that hears of its faults.
    Fault = 3,
    /// Its bound notification.
    Notification = 4,
}

type Link = Cell<Option<Ref<Thread>>>;

/// Where a thread waits that has called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At an endpoint, or on its way there.
    Endpoint(Ref<Endpoint>),
    /// In a reply object.
    Reply(Ref<Reply>),
}

impl Wait {
    /// Bit 0 of the address says that it is a reply object.
    const REPLY: u64 = 1;

    /// The CPU that it belongs to.
    #[must_use]
    pub fn home(self) -> &'static Home {
        match self {
            Self::Endpoint(endpoint) => &endpoint.get().home,
            Self::Reply(reply) => &reply.get().home,
        }
    }
}

/// A thread. What it waits in after a call ([`Thread::wait`]) says whose its cells are: those of
/// the home of that endpoint or reply object; of its own CPU where it has not called. Its links and
/// fields about time are always its own CPU's.
#[repr(C, align(4096))]
pub struct Thread {
    /// [`Tag::Thread`].
    pub tag: Cell<u64>,
    /// Registers of user mode.
    pub context: UserContext,
    /// What it does.
    pub state: Cell<ThreadState>,
    /// Priority.
    pub priority: Cell<u8>,
    /// Set while a fault of its own is being reported: the reply must not touch its registers.
    pub faulted: Cell<bool>,
    /// Whether it waits for a deadline.
    pub timed: Cell<bool>,
    /// Index of its CPU.
    pub cpu: Cell<u32>,
    /// Length of its time slice in TSC ticks.
    pub slice: Cell<u64>,
    /// When its CPU sees to its wait.
    pub deadline: Cell<u64>,
    /// When it gives up waiting, or `FOREVER`: other CPUs ask this before they end its call.
    pub until: AtomicU64,
    /// [`Wait`] as a word; 0 for none. Set by its CPU when it calls, changed by whoever has its
    /// cells.
    waits_in: AtomicU64,
    /// Root of its page tables (physical), from its space slot.
    pub space_root: Cell<u64>,
    /// Physical address of its CNode, from its CNode slot; 0 for none.
    pub cnode: Cell<u64>,
    /// Number of slots of that.
    pub cnode_slots: Cell<u64>,
    /// Physical address of its IPC buffer, from its buffer slot.
    pub buffer: Cell<u64>,
    /// Badge of the endpoint capability that it calls by.
    pub badge: Cell<u64>,
    /// Whether that capability lets it pass capabilities.
    pub grant: Cell<bool>,
    /// Info of the message that it sends.
    pub info: Cell<u64>,
    /// Words of the fault that is being reported.
    pub fault_words: [Cell<u64>; 4],
    /// Where it calls or receives.
    pub endpoint: Cell<Option<Ref<Endpoint>>>,
    /// The reply object: that will hold its caller (while it receives), or that holds it (while it
    /// awaits the reply).
    pub reply: Cell<Option<Ref<Reply>>>,
    /// What it waits for.
    pub waits_for: Cell<Option<Ref<Notification>>>,
    /// Its bound notification.
    pub bound: Cell<Option<Ref<Notification>>>,
    /// The vCPU that it runs.
    pub vcpu: Cell<Option<Ref<Vcpu>>>,
    /// Its place in an inbox while its cells change hands.
    pub post: Post,
    /// Its place in an inbox while its CPU wants another to look at its deadline.
    pub cancel: Post,
    next: Link,
    previous: Link,
    time_next: Link,
    time_previous: Link,
    /// Capability slots, by [`ThreadSlot`].
    pub slots: SlotArray<5>,
}

// SAFETY: cells and atomics only, zero is valid (claim 1), and the size is checked below.
unsafe impl Object for Thread {
    const TYPE: ObjectType = ObjectType::Thread;
}

const _: () = assert!(core::mem::size_of::<Thread>() == 4096);

impl Thread {
    /// Where it waits after a call. With `None`, and what the acquire brings, its cells are its own
    /// CPU's.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        let word = self.waits_in.load(Ordering::Acquire);
        if word & Wait::REPLY == 0 {
            Ref::from_address(word).map(Wait::Endpoint)
        } else {
            Ref::from_address(word & !Wait::REPLY).map(Wait::Reply)
        }
    }

    /// Says where it waits. Whoever calls this with `None` touches its cells no more.
    pub fn set_wait(&self, wait: Option<Wait>) {
        let word = match wait {
            None => 0,
            Some(Wait::Endpoint(endpoint)) => endpoint.address(),
            Some(Wait::Reply(reply)) => reply.address() | Wait::REPLY,
        };
        self.waits_in.store(word, Ordering::Release);
    }

    /// Mark the memory as a thread, right after it was retyped.
    pub fn initialise(&self) {
        self.until.store(abi::syscall::FOREVER, Ordering::Relaxed);
        self.tag.set(Tag::Thread as u64);
    }
}

/// Links of ready queues and endpoint queues.
pub struct QueueLinks;

impl Links<Ref<Thread>> for QueueLinks {
    fn next(&self, id: Ref<Thread>) -> Option<Ref<Thread>> {
        id.next.get()
    }
    fn previous(&self, id: Ref<Thread>) -> Option<Ref<Thread>> {
        id.previous.get()
    }
    fn set_next(&self, id: Ref<Thread>, next: Option<Ref<Thread>>) {
        id.next.set(next);
    }
    fn set_previous(&self, id: Ref<Thread>, previous: Option<Ref<Thread>>) {
        id.previous.set(previous);
    }
}

/// Links of the list of deadlines.
pub struct TimeLinks;

impl Links<Ref<Thread>> for TimeLinks {
    fn next(&self, id: Ref<Thread>) -> Option<Ref<Thread>> {
        id.time_next.get()
    }
    fn previous(&self, id: Ref<Thread>) -> Option<Ref<Thread>> {
        id.time_previous.get()
    }
    fn set_next(&self, id: Ref<Thread>, next: Option<Ref<Thread>>) {
        id.time_next.set(next);
    }
    fn set_previous(&self, id: Ref<Thread>, previous: Option<Ref<Thread>>) {
        id.time_previous.set(previous);
    }
}
