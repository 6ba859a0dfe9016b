// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads beside the case's own: in the same space and CSpace, or with a few instructions in a
//! space of their own.
//!
//! They speak with the case by cells of shared memory and by the objects under test.

use alloc::boxed::Box;
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::object::ObjectType;
use abi::rights::Rights;
use rt::cap::{CNode, Cap, Endpoint, Frame, Thread};
use rt::scratch;
use rt::thread::Start;

use crate::context::{Context, PRIORITY};
use crate::outcome::{Outcome, Tried};

/// Bytes of a thread's stack.
const STACK: usize = 64 << 10;
/// Where the instructions of a thread with a space of its own are.
const CODE: u64 = 0x40_0000;
/// Where its IPC buffer is.
const BUFFER: u64 = 0x41_0000;

/// What a thread in this space executes. It never returns; [`done`] ends it.
pub type Body = extern "C" fn(u64, u64) -> !;

/// Cells that threads and cases share.
pub static CELLS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// Reads a cell.
pub fn cell(index: usize) -> u64 {
    CELLS[index % 16].load(Ordering::SeqCst)
}

/// Writes a cell.
pub fn set_cell(index: usize, value: u64) {
    CELLS[index % 16].store(value, Ordering::SeqCst);
}

/// Adds to a cell.
pub fn count_cell(index: usize) {
    CELLS[index % 16].fetch_add(1, Ordering::SeqCst);
}

/// Ends the thread that calls it: by a fault that, as a rule, nobody hears of.
pub fn done() -> ! {
    rt::die()
}

/// A thread to be.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    /// What it executes.
    pub body: Body,
    /// Its two arguments.
    pub arguments: (u64, u64),
    /// Its CPU.
    pub cpu: u64,
    /// Its priority.
    pub priority: u8,
    /// Who hears of its faults.
    pub faults: Option<Cap<Endpoint>>,
    /// Its CSpace, if not the case's.
    pub node: Option<Cap<CNode>>,
    /// Slots that its IPC buffer names for received capabilities, from its start on.
    pub receive_slot: u64,
}

impl Spawn {
    /// A thread on the first CPU with the case's own priority and CSpace.
    pub fn new(body: Body, first: u64, second: u64) -> Self {
        let arguments = (first, second);
        Self { body, arguments, cpu: 0, priority: PRIORITY, faults: None, node: None, receive_slot: 0 }
    }

    /// The same with another priority.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// The same on another CPU.
    pub fn cpu(mut self, cpu: u64) -> Self {
        self.cpu = cpu;
        self
    }

    /// The same with somebody who hears of its faults.
    pub fn faults(mut self, faults: Cap<Endpoint>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Makes it, and lets it run.
    pub fn start(self, context: &mut Context) -> Outcome<Cap<Thread>> {
        let thread = self.make(context)?;
        thread.start().tried("start a thread")?;
        Ok(thread)
    }

    /// Makes it.
    pub fn make(self, context: &mut Context) -> Outcome<Cap<Thread>> {
        let thread: Cap<Thread> = Cap::new(context.make(ObjectType::Thread, 12)?);
        let buffer = context.frame(12)?;
        let receive_slot = self.receive_slot;
        scratch::with_frame(buffer, |bytes| {
            let at = abi::message::RECEIVE_SLOTS_WORD * 8;
            if let Some(word) = bytes.get_mut(at..at + 8) {
                word.copy_from_slice(&receive_slot.to_le_bytes());
            }
        })
        .tried("fill an IPC buffer")?;
        let node = self.node.unwrap_or(context.node);
        thread.configure(node, context.space, buffer, self.faults).tried("configure a thread")?;
        thread.set_schedule(self.priority, 0).tried("schedule a thread")?;
        thread.set_cpu(context.cpu(self.cpu)).tried("place a thread")?;
        thread.write_registers(self.registers()).tried("set registers")?;
        Ok(thread)
    }

    /// Registers to start with, on a fresh stack.
    pub fn registers(&self) -> Start {
        let stack: &'static mut [u8] = Box::leak(vec![0u8; STACK].into_boxed_slice());
        let top = (stack.as_ptr() as u64 + STACK as u64) & !15;
        let body = self.body as usize as u64;
        // As after a call instruction.
        Start { rip: body, rsp: top - 8, rdi: self.arguments.0, rsi: self.arguments.1, fs_base: 0 }
    }
}

/// Receives on the endpoint RDI with the Reply object RSI, and answers every call with its own
/// words, for ever.
pub const ECHO: &[u8] = &[
    0x48, 0x89, 0xfb, // mov rbx, rdi
    0x49, 0x89, 0xf4, // mov r12, rsi
    0x49, 0xc7, 0xc5, 0xff, 0xff, 0xff, 0xff, // mov r13, -1
    0xb8, 0x02, 0x00, 0x00, 0x00, // mov eax, Receive
    0x48, 0x89, 0xdf, // again: mov rdi, rbx
    0x0f, 0x05, // syscall
    0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, ReplyReceive
    0xeb, 0xf4, // jmp again
];

/// Starts a thread that executes `code` in a space of its own, on CPU `cpu`, with these arguments
/// and the case's CSpace.
pub fn in_own_space(
    context: &mut Context,
    code: &[u8],
    arguments: (u64, u64),
    cpu: u64,
) -> Outcome<Cap<Thread>> {
    let space = context.host_space(15)?;
    let page = context.frame(12)?;
    let fill = |bytes: &mut [u8]| {
        for (to, from) in bytes.iter_mut().zip(code) {
            *to = *from;
        }
    };
    scratch::with_frame(page, fill).tried("fill a code page")?;
    page.map(space, CODE, Rights::READ.or(Rights::EXECUTE)).tried("map a code page")?;
    let buffer: Cap<Frame> = context.frame(12)?;
    buffer.map(space, BUFFER, Rights::READ.or(Rights::WRITE)).tried("map an IPC buffer")?;
    let thread: Cap<Thread> = Cap::new(context.make(ObjectType::Thread, 12)?);
    thread.configure(context.node, space, buffer, None).tried("configure a thread")?;
    thread.set_schedule(PRIORITY, 0).tried("schedule a thread")?;
    thread.set_cpu(context.cpu(cpu)).tried("place a thread")?;
    let start = Start { rip: CODE, rsp: 0, rdi: arguments.0, rsi: arguments.1, fs_base: 0 };
    thread.write_registers(start).tried("set registers")?;
    thread.start().tried("start a thread")?;
    Ok(thread)
}
