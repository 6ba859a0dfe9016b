// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of an endpoint and of a reply object.

use crate::Thread;
use crate::reference::{Object, Ref};
use abi::object::ObjectType;
use core::cell::Cell;
use core::sync::atomic::AtomicU32;
use ipc::Meeting;

/// A meeting point for callers and receivers.
#[repr(C)]
pub struct Endpoint {
    /// Who waits. Belongs to the home CPU.
    pub meeting: Meeting<Ref<Thread>>,
    /// The CPU where its receivers run, plus one; 0 before the first receive. Changed only with every CPU stopped.
    pub home: AtomicU32,
}

// SAFETY: cells and atomics only, zero is valid, smaller than a page.
unsafe impl Object for Endpoint {
    const TYPE: ObjectType = ObjectType::Endpoint;
}

/// The right to answer one caller.
#[repr(C)]
pub struct Reply {
    /// The thread that awaits the answer.
    pub caller: Cell<Option<Ref<Thread>>>,
    /// The thread that receives with this object.
    pub receiver: Cell<Option<Ref<Thread>>>,
    /// The CPU of the receiver that used it last, plus one; 0 before the first. Changed only with every CPU stopped.
    pub home: AtomicU32,
}

// SAFETY: cells and atomics only, zero is valid, smaller than a page.
unsafe impl Object for Reply {
    const TYPE: ObjectType = ObjectType::Reply;
}
