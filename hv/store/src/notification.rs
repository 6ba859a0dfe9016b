// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of a notification.

use crate::Thread;
use crate::reference::{Object, Ref};
use abi::PAGE_SIZE;
use abi::object::ObjectType;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64};
use queue::Post;

/// A word of flags, with at most one thread that waits for it or is bound to it.
#[repr(C)]
pub struct Notification {
    /// The flags.
    pub word: AtomicU64,
    /// CPU of the thread below, plus one; 0 for none. A waiter sets it before it looks at `word`; a
    /// signaller sets `word` before it looks at `home`: one of them sees the other.
    pub home: AtomicU32,
    /// Its place in an inbox.
    pub post: Post,
    /// The thread that waits, or is bound. Belongs to the home CPU.
    pub thread: Cell<Option<Ref<Thread>>>,
    /// Whether that thread is bound.
    pub bound: Cell<bool>,
}

const _: () = assert!(size_of::<Notification>() <= PAGE_SIZE as usize);

// SAFETY: cells and atomics only, zero is valid, and the size is checked above.
unsafe impl Object for Notification {
    const TYPE: ObjectType = ObjectType::Notification;
}
