// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of an endpoint and of a reply object.

use crate::Thread;
use crate::reference::{Object, Ref};
use abi::PAGE_SIZE;
use abi::object::ObjectType;
use core::cell::Cell;
use ipc::Meeting;
use queue::Home;

/// A meeting point for callers and receivers.
#[repr(C)]
pub struct Endpoint {
    /// Where its receivers run, or ran last; before the first receive, where it was called first.
    pub home: Home,
    /// Who waits. Belongs to the home CPU.
    pub meeting: Meeting<Ref<Thread>>,
}

const _: () =
    assert!(size_of::<Endpoint>() <= PAGE_SIZE as usize && size_of::<Reply>() <= PAGE_SIZE as usize);

// SAFETY: cells and atomics only, zero is valid, and the size is checked above.
unsafe impl Object for Endpoint {
    const TYPE: ObjectType = ObjectType::Endpoint;
}

/// The right to answer one caller.
#[repr(C)]
pub struct Reply {
    /// Where the receiver runs that used it last.
    pub home: Home,
    /// The thread that awaits the answer.
    pub caller: Cell<Option<Ref<Thread>>>,
    /// The thread that receives with this object.
    pub receiver: Cell<Option<Ref<Thread>>>,
}

// SAFETY: cells and atomics only, zero is valid, and the size is checked above.
unsafe impl Object for Reply {
    const TYPE: ObjectType = ObjectType::Reply;
}
