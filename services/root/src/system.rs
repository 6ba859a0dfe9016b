// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole system as root sees it, and how it comes up.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::boot::{BootInfo, Virtualization, slot};
use abi::object::ObjectType;
use abi::rights::Rights;
use api::Badge;
use api::manifest::Manifest;
use api::root::{FaultRecord, ProcessState};
use rt::cap::{Endpoint, Machine, PortRange};
use rt::device::Line;
use rt::serial::{COM1, PORTS};
use rt::{Cap, time};

use crate::estate::Estate;
use crate::failure::{Failure, Result, core};
use crate::guest::GuestMemory;
use crate::journal::Journal;
use crate::partition::{self, Partition};
use crate::{build, grant, modules};

/// The system.
pub struct System {
    /// What the core said.
    pub boot: &'static BootInfo,
    /// Memory and slots.
    pub estate: Estate,
    /// Root's own log.
    pub journal: Journal,
    /// Root's endpoint: requests and faults.
    pub endpoint: Cap<Endpoint>,
    /// Partitions, in the order of the manifest.
    pub partitions: Vec<Partition>,
    /// The archive of services.
    pub services: &'static [u8],
    /// Why no VM can run; empty if VMs can.
    pub no_virtualization: &'static str,
    /// Secret of the operator channel.
    pub secret: Option<[u8; 32]>,
    /// Faults, newest first.
    pub faults: VecDeque<FaultRecord>,
}

impl System {
    /// Takes the estate over and reads the manifest; nothing is started.
    pub fn new(boot: &'static BootInfo) -> Result<Self> {
        let mut estate = Estate::new(boot)?;
        let serial: Cap<PortRange> = Cap::new(estate.slot()?);
        let all: Cap<PortRange> = Cap::new(slot::PORTS);
        let narrowed = all.narrow(COM1, COM1 + PORTS - 1, estate.node, serial.cptr());
        narrowed.map_err(core("take the serial port"))?;
        let journal = Journal::new(serial);
        let endpoint = Cap::new(estate.make_own(ObjectType::Endpoint, abi::PAGE_BITS)?);
        let manifest = modules::map(boot, "manifest", 0)?;
        let services = modules::map(boot, "services", 1)?;
        let manifest =
            Manifest::decode(manifest).map_err(|flaw| Failure(format!("manifest: {}", flaw.text)))?;
        let mut partitions = Vec::new();
        for (index, spec) in manifest.partitions.into_iter().enumerate() {
            partitions.push(Partition::new(&mut estate, spec, index, endpoint)?);
        }
        let no_virtualization = reason(Virtualization::from_number(boot.virtualization));
        let command_line = boot.command_line.get(..boot.command_line_len as usize).unwrap_or_default();
        let told = core::str::from_utf8(command_line).ok().and_then(api::operator::key_on_command_line);
        let secret = told.or(manifest.secret);
        let faults = VecDeque::new();
        Ok(Self { boot, estate, journal, endpoint, partitions, services, no_virtualization, secret, faults })
    }

    /// The VMs with their places among VMs.
    pub fn vms(&self) -> impl Iterator<Item = (u32, &Partition)> {
        (0..).zip(self.partitions.iter().filter(|partition| partition.spec.vm.is_some()))
    }

    /// The CPU of a partition: the manifest's, modulo those there are.
    pub fn cpu_of(&self, partition: &Partition) -> u32 {
        partition.spec.cpu % u32::try_from(self.boot.cpu_count).unwrap_or(1).max(1)
    }

    /// The badge of the partition with this name; 0 for none.
    pub fn badge_of(&self, name: &str) -> Badge {
        self.partitions.iter().position(|other| other.spec.name == name).map_or(0, partition::badge)
    }

    /// The token of a VM: from the seed of this boot, so that nobody can guess it.
    pub fn token(&self, name: &str) -> [u8; 16] {
        let hash = blake3::keyed_hash(&self.boot.seed, format!("token of {name}").as_bytes());
        let mut token = [0; 16];
        token.copy_from_slice(&hash.as_bytes()[..16]);
        token
    }

    /// Starts everything.
    pub fn start(&mut self) {
        self.say_hello();
        self.take_large_memory();
        for index in 0..self.partitions.len() {
            self.bind_interrupts(index);
        }
        for index in 0..self.partitions.len() {
            if self.wants_start(index) {
                self.start_one(index);
            }
        }
        let down =
            |partition: &&Partition| partition.spec.vm.is_none() && partition.state != ProcessState::Running;
        match self.partitions.iter().find(down) {
            None => self.journal.say(format_args!("root: all services run")),
            Some(service) => self.journal.say(format_args!("root: without {}", service.spec.name)),
        }
        self.journal.say(format_args!("root: ready"));
        self.give_serial_port();
        self.estate.look_away();
    }

    /// Leaves the serial port to the console, if one runs and root still has the port.
    pub fn give_serial_port(&mut self) {
        let console = self.partitions.iter().find(|partition| {
            partition.spec.ports.iter().any(|ports| ports.first == COM1)
                && partition.state == ProcessState::Running
        });
        if let Some(ports) = console.and_then(|console| self.journal.hand_over(console.doorbell)) {
            self.estate.discard(ports.cptr());
        }
    }

    /// Takes the serial port back from a console that stays down.
    pub fn take_serial_port(&mut self) -> Result<()> {
        let serial: Cap<PortRange> = Cap::new(self.estate.slot()?);
        let all: Cap<PortRange> = Cap::new(slot::PORTS);
        let narrowed = all.narrow(COM1, COM1 + PORTS - 1, self.estate.node, serial.cptr());
        narrowed.map_err(core("take the serial port"))?;
        self.journal.take_back(serial);
        Ok(())
    }

    /// Builds and starts a partition; its state says what came of it.
    pub fn start_one(&mut self, index: usize) {
        let started = build::start(self, index);
        let partition = &mut self.partitions[index];
        let name = &partition.spec.name;
        partition.state = match started {
            Ok(()) => {
                self.journal.say(format_args!("root: {name} started"));
                ProcessState::Running
            }
            Err(Failure(reason)) => return self.refuse(index, reason),
        };
    }

    fn say_hello(&mut self) {
        let boot = self.boot;
        let free = self.estate.free_bytes() >> 20;
        let ms = boot_ticks() / boot.tsc_khz.max(1);
        self.journal.say(format_args!(
            "root: version {}, {} CPUs, {free} MiB free, core booted in {ms} ms",
            rt::VERSION,
            boot.cpu_count
        ));
        if !self.no_virtualization.is_empty() {
            self.journal.say(format_args!("root: no VMs here: {}", self.no_virtualization));
        }
    }

    /// Takes guest memory, the largest first, before small pieces are cut off; then stores, of what the rest will not need.
    fn take_large_memory(&mut self) {
        let guest_bytes = |partition: &Partition| partition.spec.vm.as_ref().map(|vm| vm.memory_bytes);
        let partitions = self.partitions.iter().enumerate();
        let mut vms: Vec<(u64, usize)> =
            partitions.filter_map(|(index, partition)| Some((guest_bytes(partition)?, index))).collect();
        vms.sort_by(|a, b| b.cmp(a));
        for (bytes, index) in vms {
            if let Err(Failure(reason)) = self.take_guest_memory(index, bytes) {
                self.refuse(index, reason);
            }
        }
        // Twice, for what is lost to rounding.
        let needed: u64 = 2 * self.partitions.iter().map(Partition::needs).sum::<u64>();
        for index in 0..self.partitions.len() {
            let most = self.estate.free_bytes().saturating_sub(needed);
            let partition = &mut self.partitions[index];
            let (name, wanted) = (partition.spec.name.clone(), partition.spec.store_bytes);
            match partition.take_store(&mut self.estate, most) {
                Ok(bytes) if bytes < wanted => {
                    let (bytes, wanted) = (bytes >> 20, wanted >> 20);
                    self.journal
                        .say(format_args!("root: {name} has a store of {bytes} MiB instead of {wanted}"));
                }
                Ok(_) => {}
                Err(Failure(reason)) => self.refuse(index, reason),
            }
        }
    }

    fn take_guest_memory(&mut self, index: usize, bytes: u64) -> Result<()> {
        if !self.no_virtualization.is_empty() {
            return Err(Failure::new(self.no_virtualization));
        }
        self.partitions[index].guest = Some(GuestMemory::new(&mut self.estate, bytes)?);
        Ok(())
    }

    /// Notes, and says, that a partition does not run.
    pub fn refuse(&mut self, index: usize, reason: String) {
        let partition = &mut self.partitions[index];
        self.journal.say(format_args!("root: {} refused: {reason}", partition.spec.name));
        partition.state = ProcessState::Refused(reason);
    }

    /// Whether nothing has gone wrong with it so far.
    fn wants_start(&self, index: usize) -> bool {
        let partition = &self.partitions[index];
        partition.spec.vm.is_none() || partition.guest.is_some()
    }

    fn bind_interrupts(&mut self, index: usize) {
        let lines = self.partitions[index].spec.interrupts.clone();
        for (bit, line) in lines.into_iter().enumerate() {
            if let Err(Failure(reason)) = self.bind_interrupt(index, bit, line) {
                self.journal.say(format_args!("root: interrupt {line}: {reason}"));
            }
        }
    }

    fn bind_interrupt(&mut self, index: usize, bit: usize, line: u32) -> Result<()> {
        let Self { estate, partitions, .. } = self;
        let partition = &mut partitions[index];
        let machine: Cap<Machine> = Cap::new(slot::MACHINE);
        let interrupt = Cap::new(estate.slot()?);
        machine.interrupt(line, Line::Edge, estate.node, interrupt.cptr()).map_err(core("make the line"))?;
        let badge = grant::interrupt_bit(bit);
        let bell = Cap::new(estate.derive(partition.doorbell.cptr(), Rights::WRITE, badge)?);
        interrupt.bind(bell).map_err(core("bind the line"))?;
        partition.interrupts.push((line, interrupt));
        Ok(())
    }
}

/// TSC ticks from the entry of the core to the start of root.
pub fn boot_ticks() -> u64 {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    machine.counter(abi::boot::counter::BOOT_TICKS).unwrap_or(0)
}

/// Milliseconds since the TSC began.
pub fn now_ms() -> u64 {
    time::now_ms()
}

const fn reason(virtualization: Virtualization) -> &'static str {
    match virtualization {
        Virtualization::Svm => "",
        Virtualization::NoSvm => "the processor has no SVM",
        Virtualization::NoNestedPaging => "the processor has SVM without nested paging",
        Virtualization::DisabledByFirmware => "the firmware has switched SVM off",
    }
}
