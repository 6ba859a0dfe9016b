// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a notification.

use crate::Thread;
use crate::reference::{Object, Ref};
use abi::object::ObjectType;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// A word of flags, with at most one thread that waits for it or is bound to it.
#[repr(C)]
pub struct Notification {
    /// The flags.
    pub word: AtomicU64,
    /// CPU of the thread below, plus one; 0 for none. A waiter sets it before it looks at `word`; a signaller sets `word`
    /// before it looks at `home`: one of them sees the other.
    pub home: AtomicU32,
    /// Already in an inbox.
    pub in_inbox: AtomicBool,
    /// Next in the inbox of a CPU.
    pub inbox_next: AtomicU64,
    /// The thread that waits, or is bound. Belongs to the home CPU.
    pub thread: Cell<Option<Ref<Thread>>>,
    /// Whether that thread is bound.
    pub bound: Cell<bool>,
}

// SAFETY: cells and atomics only, zero is valid, smaller than a page.
unsafe impl Object for Notification {
    const TYPE: ObjectType = ObjectType::Notification;
}
