// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case works with: memory, slots, the machine's description.

use alloc::string::String;

use abi::CPtr;
use abi::boot::{BootInfo, ROOT_CNODE_RADIX, slot};
use abi::object::ObjectType;
use abi::rights::Rights;
use rt::cap::{CNode, Cpu, Endpoint, Frame, HostSpace, Notification, PortRange, Reply, Thread, Untyped};
use rt::serial::{COM1, Serial};
use rt::{Cap, time};

use crate::outcome::{Outcome, Tried};

/// Priority of the case's own thread: there is room above and below.
pub const PRIORITY: u8 = 100;

/// Everything that the core gave, and books of it.
pub struct Context {
    /// What the core said.
    pub boot: &'static BootInfo,
    /// Own CNode.
    pub node: Cap<CNode>,
    /// Own space.
    pub space: Cap<HostSpace>,
    /// Own thread.
    pub thread: Cap<Thread>,
    /// The largest untyped memory.
    pub pool: Cap<Untyped>,
    next_slot: CPtr,
    /// A notification that nobody signals.
    never: Option<Cap<Notification>>,
    /// Why the case was not carried out, if so.
    pub skipped: Option<&'static str>,
}

impl Context {
    /// What a case starts with.
    pub fn new(boot: &'static BootInfo) -> Option<Self> {
        let count = usize::try_from(boot.untyped_count).ok()?.min(boot.untyped.len());
        let largest = boot.untyped[..count].iter().max_by_key(|info| info.size_bits)?;
        Some(Self {
            boot,
            node: Cap::new(slot::CNODE),
            space: Cap::new(slot::SPACE),
            thread: Cap::new(slot::THREAD),
            pool: Cap::new(largest.slot),
            next_slot: boot.first_free_slot,
            never: None,
            skipped: None,
        })
    }

    /// Says that this machine does not allow the case.
    pub fn skip(&mut self, reason: &'static str) -> Outcome {
        self.skipped = Some(reason);
        Ok(())
    }

    /// `count` empty slots, one after the other.
    pub fn slots(&mut self, count: u64) -> CPtr {
        let first = self.next_slot;
        self.next_slot += count;
        assert!(self.next_slot < 1 << ROOT_CNODE_RADIX, "the case uses too many slots");
        first
    }

    /// An empty slot.
    pub fn slot(&mut self) -> CPtr {
        self.slots(1)
    }

    /// Makes an object.
    pub fn make(&mut self, object: ObjectType, bits: u8) -> Outcome<CPtr> {
        let slot = self.slot();
        self.pool.retype(object, bits, 1, self.node, slot).tried("retype")?;
        Ok(slot)
    }

    /// Makes an endpoint.
    pub fn endpoint(&mut self) -> Outcome<Cap<Endpoint>> {
        self.make(ObjectType::Endpoint, 12).map(Cap::new)
    }

    /// Makes a Reply object.
    pub fn reply(&mut self) -> Outcome<Cap<Reply>> {
        self.make(ObjectType::Reply, 12).map(Cap::new)
    }

    /// Makes a notification.
    pub fn notification(&mut self) -> Outcome<Cap<Notification>> {
        self.make(ObjectType::Notification, 12).map(Cap::new)
    }

    /// Makes a frame.
    pub fn frame(&mut self, bits: u8) -> Outcome<Cap<Frame>> {
        self.make(ObjectType::Frame, bits).map(Cap::new)
    }

    /// Makes a host space.
    pub fn host_space(&mut self, bits: u8) -> Outcome<Cap<HostSpace>> {
        self.make(ObjectType::HostSpace, bits).map(Cap::new)
    }

    /// Makes untyped memory.
    pub fn untyped(&mut self, bits: u8) -> Outcome<Cap<Untyped>> {
        self.make(ObjectType::Untyped, bits).map(Cap::new)
    }

    /// Derives a capability.
    pub fn derive<T>(&mut self, source: Cap<T>, rights: Rights, badge: u64) -> Outcome<Cap<T>> {
        let slot = self.slot();
        self.node.mint(source.cptr(), slot, rights, badge).tried("mint")?;
        Ok(Cap::new(slot))
    }

    /// A CPU.
    pub fn cpu(&self, index: u64) -> Cap<Cpu> {
        Cap::new(slot::FIRST_CPU + index)
    }

    /// Whether there is more than one CPU.
    pub fn has_two_cpus(&self) -> bool {
        self.boot.cpu_count > 1
    }

    /// Whether VMs can run.
    pub fn has_virtualization(&self) -> bool {
        self.boot.virtualization == abi::boot::Virtualization::Svm as u32
    }

    /// Lets others run for some milliseconds.
    pub fn sleep(&mut self, ms: u64) -> Outcome {
        let never = match self.never {
            Some(never) => never,
            None => {
                let never = self.notification()?;
                *self.never.insert(never)
            }
        };
        crate::outcome::refuses(never.wait(time::after_ms(ms)), rt::Error::TimedOut, "sleep")
    }

    /// The value of an option of the command line.
    pub fn option(&self, name: &str) -> Option<&'static str> {
        option(self.boot, name)
    }
}

/// The value of `name=value` on the core's command line.
pub fn option(boot: &'static BootInfo, name: &str) -> Option<&'static str> {
    words(boot).find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Words of the core's command line.
pub fn words(boot: &'static BootInfo) -> impl Iterator<Item = &'static str> {
    let size = usize::try_from(boot.command_line_len).unwrap_or(0).min(boot.command_line.len());
    let line = core::str::from_utf8(&boot.command_line[..size]).unwrap_or("");
    line.split_ascii_whitespace()
}

/// Writes a line to the first serial port.
pub fn say(text: &str) {
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    let mut line = String::from(text);
    line.push_str("\r\n");
    Serial::new(ports, COM1).write(line.as_bytes());
}
