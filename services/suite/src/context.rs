// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case works with: memory, slots, a voice, and threads of its own.

use crate::suite::Verdict;
use abi::boot::{BootInfo, slot};
use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use alloc::format;
use alloc::string::String;
use rt::cap::{CNode, Cap, Cpu, Endpoint, Frame, HostSpace, Thread, Untyped};
use rt::serial::Serial;
use rt::thread::Start;

/// Where the stacks and IPC buffers of a case's threads are mapped.
const THREADS: u64 = 0x6000_0000_0000;
const THREAD_STRIDE: u64 = 1 << 21;
const STACK_BITS: u8 = 16;

/// What a case works with.
pub struct Context {
    /// What the core said.
    pub info: &'static BootInfo,
    serial: Serial,
    next_slot: u64,
    next_thread: u64,
}

/// A thread that a case has made.
#[derive(Clone, Copy)]
pub struct Spawned {
    /// The thread.
    pub thread: Cap<Thread>,
    /// Where its IPC buffer is mapped.
    pub buffer: u64,
}

impl Context {
    /// Everything is free.
    pub fn new(info: &'static BootInfo, serial: Serial) -> Self {
        Self { info, serial, next_slot: info.first_free_slot, next_thread: 0 }
    }

    /// Say something on the console.
    pub fn say(&self, text: &str) {
        self.serial.write(text.as_bytes());
        self.serial.write(b"\n");
    }

    /// The suite's CNode.
    pub fn node(&self) -> Cap<CNode> {
        Cap::new(slot::CNODE)
    }

    /// The suite's space.
    pub fn space(&self) -> Cap<HostSpace> {
        Cap::new(slot::SPACE)
    }

    /// A free slot (or the first of several in a row).
    pub fn slots(&mut self, count: u64) -> u64 {
        let first = self.next_slot;
        self.next_slot += count;
        first
    }

    /// A free slot.
    pub fn slot(&mut self) -> u64 {
        self.slots(1)
    }

    /// The untyped memory that is just large enough.
    pub fn untyped(&self, size_bits: u8) -> Result<Cap<Untyped>, String> {
        let all = &self.info.untyped[..self.info.untyped_count as usize];
        let fits = |untyped: &&abi::boot::UntypedInfo| {
            Cap::<Untyped>::new(untyped.slot).describe().is_ok_and(|state| state.free >= 1 << size_bits)
        };
        let found = all.iter().filter(fits).min_by_key(|untyped| untyped.size_bits);
        found.map(|untyped| Cap::new(untyped.slot)).ok_or_else(|| String::from("no memory left"))
    }

    /// Make an object.
    pub fn object<T>(&mut self, kind: ObjectType, size_bits: u8) -> Result<Cap<T>, String> {
        let slot = self.slot();
        let untyped = self.untyped(size_bits + 1).or_else(|_| self.untyped(size_bits))?;
        untyped
            .retype(kind, size_bits, 1, self.node(), slot)
            .map_err(|error| format!("retype {kind:?}: {error:?}"))?;
        Ok(Cap::new(slot))
    }

    /// Derive a capability.
    pub fn mint<T>(&mut self, source: Cap<T>, rights: Rights, badge: u64) -> Result<Cap<T>, String> {
        let slot = self.slot();
        self.node().mint(source.cptr(), slot, rights, badge).map_err(|error| format!("mint: {error:?}"))?;
        Ok(Cap::new(slot))
    }

    /// A thread of the suite's own space and CSpace that begins at `entry` with `argument`. Not started.
    pub fn thread(
        &mut self,
        entry: extern "C" fn(u64) -> !,
        argument: u64,
        faults: Option<Cap<Endpoint>>,
    ) -> Result<Spawned, String> {
        let base = THREADS + self.next_thread * THREAD_STRIDE;
        self.next_thread += 1;
        let stack: Cap<Frame> = self.object(ObjectType::Frame, STACK_BITS)?;
        let buffer: Cap<Frame> = self.object(ObjectType::Frame, 12)?;
        let rights = Rights::READ.or(Rights::WRITE);
        let buffer_at = base + (1 << STACK_BITS);
        let map = |frame: Cap<Frame>, at| {
            frame.map(self.space(), at, rights).map_err(|error| format!("map: {error:?}"))
        };
        map(stack, base)?;
        map(buffer, buffer_at)?;
        let thread: Cap<Thread> = self.object(ObjectType::Thread, 12)?;
        expect("configure", thread.configure(self.node(), self.space(), buffer, faults))?;
        let start = Start {
            rip: entry as usize as u64,
            rsp: base + (1 << STACK_BITS) - 8,
            rdi: argument,
            ..Start::default()
        };
        expect("registers", thread.write_registers(start))?;
        expect("schedule", thread.set_schedule(200, 0))?;
        Ok(Spawned { thread, buffer: buffer_at })
    }

    /// The capability to a CPU.
    pub fn cpu(&self, index: u64) -> Cap<Cpu> {
        Cap::new(slot::FIRST_CPU + index)
    }
}

/// That an operation succeeds.
pub fn expect<T>(what: &str, result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

/// That an operation is refused with one error.
pub fn expect_error<T>(what: &str, result: Result<T, Error>, wanted: Error) -> Verdict {
    match result {
        Err(error) if error == wanted => Ok(()),
        Err(error) => Err(format!("{what}: {error:?} instead of {wanted:?}")),
        Ok(_) => Err(format!("{what}: succeeded, {wanted:?} was expected")),
    }
}

/// That a condition holds.
pub fn ensure(condition: bool, what: &str) -> Verdict {
    if condition { Ok(()) } else { Err(String::from(what)) }
}
