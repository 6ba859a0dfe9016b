// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capabilities, typed by the object that they refer to.
//!
//! A `Cap<T>` is a slot number with a belief about what is in it. The core checks the belief at
//! every use, so a wrong one is an error and no more; the type only keeps the program honest. What
//! can be asked of each object is in [`crate::memory`], [`crate::thread`], [`crate::vm`] and
//! [`crate::device`].

use core::fmt;
use core::marker::PhantomData;

use abi::CPtr;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::message::Info;
use abi::syscall::FOREVER;
use api::Environment;

use crate::syscall::{self, Words};

macro_rules! objects {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name {}
        )+
    };
}

objects! {
    /// Memory that is not yet anything.
    Untyped,
    /// Slots for capabilities.
    CNode,
    /// A user thread.
    Thread,
    /// A meeting point for call and receive.
    Endpoint,
    /// The right to answer one caller.
    Reply,
    /// A word of flags.
    Notification,
    /// Memory that can be mapped.
    Frame,
    /// A user page table.
    HostSpace,
    /// The nested page table of a VM.
    GuestSpace,
    /// One virtual CPU.
    Vcpu,
    /// One interrupt line.
    Interrupt,
    /// A range of I/O ports.
    PortRange,
    /// The right to a physical CPU.
    Cpu,
    /// The machine.
    Machine,
}

/// A capability to an object of type `T`.
pub struct Cap<T> {
    cptr: CPtr,
    object: PhantomData<fn() -> T>,
}

impl<T> Cap<T> {
    /// The capability in a slot.
    #[must_use]
    pub const fn new(cptr: CPtr) -> Self {
        Self { cptr, object: PhantomData }
    }

    /// The capability that the environment knows by this name.
    #[must_use]
    pub fn named(environment: &Environment, name: &str) -> Option<Self> {
        environment.cap(name).map(Self::new)
    }

    /// The slot.
    #[must_use]
    pub const fn cptr(self) -> CPtr {
        self.cptr
    }

    /// Asks something of the object.
    pub(crate) fn invoke(self, invocation: Invocation, words: Words) -> Result<Words, Error> {
        self.invoke_words(invocation, 4, words)
    }

    /// The same with more words, which are in the IPC buffer already.
    pub(crate) fn invoke_words(
        self,
        invocation: Invocation,
        count: usize,
        words: Words,
    ) -> Result<Words, Error> {
        let info = Info::new(invocation as u32, count);
        syscall::call(self.cptr, info, words, FOREVER).map(|out| out.words)
    }
}

impl<T> Clone for Cap<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cap<T> {}

impl<T> PartialEq for Cap<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cptr == other.cptr
    }
}

impl<T> Eq for Cap<T> {}

impl<T> fmt::Debug for Cap<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Cap({})", self.cptr)
    }
}
