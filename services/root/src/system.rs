// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole system as root sees it, and how it comes up.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::boot::{BootInfo, DOORBELL, RegionKind, Virtualization, slot};
use abi::object::ObjectType;
use abi::rights::Rights;
use api::console::Console;
use api::estate::{self, BRIDGE_MODULE};
use api::manifest::{self, Manifest};
use api::root::{FaultRecord, ProcessState};
use api::{Badge, Interface};
use root::look::Pulse;
use root::ranges;
use rt::cap::{Cpu, Endpoint, Machine, Notification, PortRange};
use rt::device::Line;
use rt::serial::{COM1, PORTS};
use rt::{Cap, time};

use crate::estate::Estate;
use crate::failure::{Failure, Result, core};
use crate::guest::GuestMemory;
use crate::journal::Journal;
use crate::modules::Module;
use crate::partition::{self, Partition};
use crate::succession::Course;
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
    /// CPUs that this instance has or had, in the order in which they came.
    pub cpus: Vec<CpuPlace>,
    /// Modules that VMs start from.
    pub modules: Vec<Module>,
    /// First port of root's own serial port.
    pub serial: u16,
    /// The succession under way.
    pub succession: Option<Course>,
    /// Memory that is this instance's: all of it.
    pub memory: Vec<estate::Range>,
    /// Successions that led here since the machine started.
    pub generation: u32,
    /// Where services answer the watch, each by the bit of its place.
    pub alive: Cap<Notification>,
    /// A notification that nobody signals, to let time pass.
    pub never: Cap<Notification>,
}

/// Number, among the interrupts of the succession service, of the doorbell of instances.
const SUCCESSION_BIT: usize = 0;

/// A CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuPlace {
    /// The right to it.
    pub cap: Cap<Cpu>,
    /// Its APIC id.
    pub apic_id: u32,
    /// Whether it is this instance's.
    pub online: bool,
}

impl System {
    /// Takes the estate over and reads the manifest; nothing is started.
    pub fn new(boot: &'static BootInfo) -> Result<Self> {
        let mut estate = Estate::new(boot)?;
        let words = command_line(boot);
        let serial = words.split_ascii_whitespace().find_map(|word| word.strip_prefix("serial="));
        let serial = serial.and_then(|port| u16::from_str_radix(port, 16).ok()).unwrap_or(COM1);
        let journal = Journal::new(take_serial(&mut estate, serial)?, serial);
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
        let told = api::operator::key_on_command_line(words);
        let secret = told.or(manifest.secret);
        let never = Cap::new(estate.make_own(ObjectType::Notification, abi::PAGE_BITS)?);
        let alive = Cap::new(estate.make_own(ObjectType::Notification, abi::PAGE_BITS)?);
        let mut system = Self {
            boot,
            estate,
            journal,
            endpoint,
            partitions,
            services,
            no_virtualization,
            secret,
            faults: VecDeque::new(),
            cpus: cpus(boot),
            modules: vm_modules(boot)?,
            serial,
            succession: None,
            memory: memory(boot),
            generation: 0,
            alive,
            never,
        };
        system.succession = Course::joined(&mut system)?;
        Ok(system)
    }

    /// The VMs with their places among VMs.
    pub fn vms(&self) -> impl Iterator<Item = (u32, &Partition)> {
        (0..).zip(self.partitions.iter().filter(|partition| partition.spec.vm.is_some()))
    }

    /// The place of a partition's CPU: the manifest's, modulo those of the machine; the first one
    /// while that is not here.
    pub fn cpu_of(&self, partition: &Partition) -> usize {
        let all = self.succession.as_ref().map_or(0, |course| course.inventory.cpus.len());
        let wanted = partition.spec.cpu as usize % all.max(self.cpus.len()).max(1);
        if self.cpus.get(wanted).is_some_and(|cpu| cpu.online) { wanted } else { 0 }
    }

    /// Whether the ports and interrupts of a partition are this instance's.
    pub fn has_line(&self, index: usize) -> bool {
        self.succession.as_ref().is_none_or(|course| course.has_line(&self.partitions[index].spec.name))
    }

    /// The ports that the console of a carve-out has besides its own.
    pub fn spare_console(&self, index: usize) -> Option<manifest::Ports> {
        let is_console = self.partitions[index].spec.ports.iter().any(|ports| ports.first == COM1);
        let ports = manifest::Ports { first: self.serial, last: self.serial + PORTS - 1 };
        (is_console && self.serial != COM1).then_some(ports)
    }

    /// The partitions whose log lines `console` reads, with their places, if it is the console.
    pub fn logs_for(&self, console: &Partition) -> impl Iterator<Item = (usize, &Partition)> {
        let is_console = console.spec.name == Console::NAME;
        let writers = self.partitions.iter().enumerate();
        writers.filter(move |(_, writer)| is_console && !writer.log.is_empty())
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
            if self.has_line(index) {
                self.bind_interrupts(index);
            }
            if self.partitions[index].spec.succession
                && let Err(Failure(reason)) = self.bind_interrupt(index, SUCCESSION_BIT, DOORBELL as u32)
            {
                self.journal.say(format_args!("root: doorbell: {reason}"));
            }
        }
        for index in 0..self.partitions.len() {
            if self.wants_start(index) {
                self.start_one(index);
            } else if self.store_is_away(index) {
                self.wait_for_store(index);
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
        let serial = take_serial(&mut self.estate, self.serial)?;
        self.journal.take_back(serial);
        Ok(())
    }

    /// Builds and starts a partition; its state says what came of it.
    pub fn start_one(&mut self, index: usize) {
        let started = build::start(self, index);
        let partition = &mut self.partitions[index];
        partition.pulse = Pulse::default();
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

    /// Takes guest memory, the largest first, before small pieces are cut off; then stores, of what
    /// the rest will not need. Beside another instance there is neither.
    fn take_large_memory(&mut self) {
        if self.succession.is_some() {
            return;
        }
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
        match (&partition.spec.vm, &self.succession) {
            (Some(_), _) => partition.guest.is_some(),
            // Beside another instance only what the carve-out has room for.
            (None, Some(_)) => partition.spec.succession || self.spare_console(index).is_some(),
            (None, None) => true,
        }
    }

    /// Binds the interrupt lines of a partition to its doorbell.
    pub fn bind_interrupts(&mut self, index: usize) {
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

/// The core's command line.
pub fn command_line(boot: &'static BootInfo) -> &'static str {
    let line = boot.command_line.get(..boot.command_line_len as usize).unwrap_or_default();
    core::str::from_utf8(line).unwrap_or_default()
}

fn take_serial(estate: &mut Estate, base: u16) -> Result<Cap<PortRange>> {
    let serial: Cap<PortRange> = Cap::new(estate.slot()?);
    let all: Cap<PortRange> = Cap::new(slot::PORTS);
    let narrowed = all.narrow(base, base.saturating_add(PORTS - 1), estate.node, serial.cptr());
    narrowed.map_err(core("take the serial port"))?;
    Ok(serial)
}

fn cpus(boot: &BootInfo) -> Vec<CpuPlace> {
    let count = usize::try_from(boot.cpu_count).unwrap_or(0);
    let places = (slot::FIRST_CPU..).zip(&boot.apic_ids).take(count);
    places.map(|(slot, &apic_id)| CpuPlace { cap: Cap::new(slot), apic_id, online: true }).collect()
}

/// The boot modules but those that are root's own business.
fn vm_modules(boot: &'static BootInfo) -> Result<Vec<Module>> {
    let own =
        |name: &str| ["root", "manifest", "services"].contains(&name) || name.starts_with(BRIDGE_MODULE);
    let others = modules::all(boot).iter().filter(|module| !own(rt::scratch::module_name(module)));
    others.map(Module::booted).collect()
}

/// What the boot loader and the firmware left to this instance.
fn memory(boot: &BootInfo) -> Vec<estate::Range> {
    let count = usize::try_from(boot.region_count).unwrap_or(0).min(boot.regions.len());
    let own = boot.regions[..count].iter().filter(|region| region.kind != RegionKind::Reserved as u64);
    ranges::join(own.map(|region| ranges::pages(region.base, region.size)).collect())
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
