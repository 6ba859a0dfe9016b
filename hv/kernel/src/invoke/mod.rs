// SPDX-License-Identifier: MIT OR Apache-2.0
//! Invocations: from the type of a capability to the operation.
//!
//! One file per object. An operation decodes a [`Call`] and answers it; what it needs to hold it
//! says while decoding.

mod cnode;
mod cpu;
mod estate;
mod frame;
mod guest;
mod machine;
mod port;
mod thread;
mod untyped;
mod vcpu;

pub use guest::{Opened, ask_pager, open_page};

use crate::hold::{Abort, Hold, Outcome};
use abi::error::Error;
use abi::invocation::Invocation;
use abi::message::{Info, REGISTER_WORDS};
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{Cap, SlotRef};
use store::{Ref, Thread};

/// An invocation: who calls, by which capability, with which words.
pub struct Call<'a> {
    /// The current thread.
    pub thread: Ref<Thread>,
    /// Slot of the invoked capability.
    pub slot: SlotRef,
    /// The invoked capability.
    pub cap: &'a Cap,
    /// What is asked.
    pub label: Invocation,
    /// Words 0 to 3.
    pub words: [u64; REGISTER_WORDS],
    /// What is held.
    pub hold: &'a Hold,
}

impl Call<'_> {
    /// A word beyond those in registers; 0 without an IPC buffer.
    pub fn buffer_word(&self, index: usize) -> u64 {
        match self.thread.buffer.get() {
            0 => 0,
            buffer => store::read_word(buffer, index),
        }
    }

    /// That the invoked capability has these rights.
    ///
    /// # Errors
    /// `MissingRights`.
    pub fn need(&self, rights: Rights) -> Result<(), Error> {
        if self.cap.rights().has(rights) { Ok(()) } else { Err(Error::MissingRights) }
    }

    /// The answer: success, and up to four words.
    pub fn answer(&self, words: &[u64]) -> Outcome {
        let context = &self.thread.get().context;
        let registers = [&context.rdx, &context.r8, &context.r9, &context.r10];
        for (register, word) in registers.iter().zip(words) {
            register.set(*word);
        }
        context.rsi.set(Info::new(0, words.len()).0);
        context.rdi.set(0);
        context.rax.set(0);
        Ok(())
    }
}

/// Perform an invocation of the current thread.
pub fn invoke(thread: Ref<Thread>, slot: SlotRef, cap: &Cap, hold: &Hold) -> Outcome {
    let context = &thread.get().context;
    let info = Info::from_user(context.rsi.get());
    // Is there such an invocation at all?
    let label = Invocation::from_label(info.label()).ok_or(Error::InvalidInvocation)?;
    let words = [context.rdx.get(), context.r8.get(), context.r9.get(), context.r10.get()];
    let call = Call { thread, slot, cap, label, words, hold };
    match cap.kind() {
        ObjectType::Untyped => untyped::invoke(&call),
        ObjectType::CNode => cnode::invoke(&call),
        ObjectType::Thread => self::thread::invoke(&call),
        ObjectType::Frame => frame::invoke(&call),
        ObjectType::GuestSpace => guest::invoke(&call),
        ObjectType::Vcpu => vcpu::invoke(&call),
        ObjectType::Interrupt => machine::invoke_interrupt(&call),
        ObjectType::PortRange => port::invoke(&call),
        ObjectType::Cpu => self::cpu::invoke(&call),
        ObjectType::Machine => machine::invoke_machine(&call),
        ObjectType::Null
        | ObjectType::Endpoint
        | ObjectType::Reply
        | ObjectType::Notification
        | ObjectType::HostSpace => Err(Abort::Error(Error::InvalidInvocation)),
    }
}
