// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library's traits, by system calls.
//!
//! Owns guest memory (read through a window, written by the core from the bounce frame), the vCPUs,
//! the TSC and the log.

use crate::checkpoint_client::CheckpointClient;
use abi::error::Error;
use abi::vcpu::VcpuPage;
use alloc::vec::Vec;
use api::environment::VmConfig;
use core::fmt;
use rt::cap::{Cap, GuestSpace};
use rt::vm::VirtualCpu;
use rt::window::{Handover, Owned, Shared};
use rt::{Environment, time};
use vmm::machine::{Backend, CheckpointError};
use vmm::memory::{GuestMemory, MemoryError, contains};
use vmm::platform::cpuid::Leaf;
use vmm::vcpu::Vcpu;

/// The real processor's CPUID.
pub fn cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let real = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    Leaf::new(real.eax, real.ebx, real.ecx, real.edx)
}

/// Guest memory.
pub struct GuestWindow {
    window: Shared,
    space: Cap<GuestSpace>,
    bounce: Owned,
}

impl GuestWindow {
    /// The memory of this service's VM; `None` where something is missing, or at the second time.
    pub fn take(environment: &Environment, vm: &VmConfig) -> Option<Self> {
        let window = rt::window::guest()?;
        let space = Cap::named(environment, "guest")?;
        let bounce = rt::window::take_bounce()?;
        (window.size() >= vm.memory_bytes && bounce.size() >= abi::PAGE_SIZE).then_some(Self {
            window,
            space,
            bounce,
        })
    }
}

impl GuestMemory for GuestWindow {
    fn size(&self) -> u64 {
        self.window.size()
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        if self.window.read(address, bytes) { Ok(()) } else { Err(MemoryError::OutOfRange) }
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        if !contains(self.size(), address, bytes.len()) {
            return Err(MemoryError::OutOfRange);
        }
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_page = (abi::PAGE_SIZE - at % abi::PAGE_SIZE) as usize;
            let (part, tail) = rest.split_at(in_page.min(rest.len()));
            if !self.bounce.write(0, part) {
                return Err(MemoryError::Refused);
            }
            let written = self.space.write(at, self.bounce.cap(), 0, part.len() as u64);
            written.map_err(|_| MemoryError::Refused)?;
            at += part.len() as u64;
            rest = tail;
        }
        Ok(())
    }
}

/// A vCPU.
pub struct Cpu(VirtualCpu);

impl Cpu {
    /// vCPU `number`; `None` where there is none, or at the second time.
    pub fn take(environment: &'static Environment, number: u32) -> Option<Self> {
        VirtualCpu::take(environment, number).map(Self)
    }
}

impl Vcpu for Cpu {
    fn page(&mut self) -> &mut VcpuPage {
        self.0.page_mut()
    }

    fn run(&mut self) -> Result<(), Error> {
        self.0.run().map(|_| ())
    }

    fn export(&mut self, groups: u64) -> Result<(), Error> {
        self.0.export(groups)
    }

    fn import(&mut self, groups: u64) -> Result<(), Error> {
        self.0.import(groups)
    }
}

/// The world outside of the machine.
pub struct World {
    store: CheckpointClient,
    handover: Option<Handover>,
}

impl World {
    /// As the environment describes it.
    pub fn new() -> Self {
        Self { store: CheckpointClient::connect(), handover: rt::window::take_handover() }
    }
}

impl Backend for World {
    fn now(&mut self) -> u64 {
        time::now()
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        rt::log::say(line);
    }

    fn begin(&mut self) -> Result<u64, CheckpointError> {
        self.store.begin()
    }

    fn commit(&mut self, id: u64, state: &[u8]) -> Result<(), CheckpointError> {
        self.store.commit(id, state)
    }

    fn abort(&mut self, id: u64) {
        self.store.abort(id);
    }

    fn state(&mut self, id: u64) -> Result<Vec<u8>, CheckpointError> {
        self.store.state(id)
    }

    fn restore(&mut self, id: u64) -> Result<(), CheckpointError> {
        self.store.restore(id)
    }

    fn attach(&mut self) {
        self.store.attach();
    }

    fn quota(&mut self) -> Result<u32, CheckpointError> {
        self.store.quota()
    }

    fn is_copying(&mut self, id: u64) -> bool {
        self.store.is_copying(id)
    }

    fn read_handover(&mut self, offset: u64, into: &mut [u8]) -> bool {
        self.handover.as_ref().is_some_and(|window| window.read(offset, into))
    }

    fn write_handover(&mut self, offset: u64, bytes: &[u8]) -> bool {
        self.handover.as_mut().is_some_and(|window| window.write(offset, bytes))
    }
}
