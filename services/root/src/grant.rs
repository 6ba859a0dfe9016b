// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving capabilities: the one place where a partition's CSpace is filled, from what the manifest
//! says.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::CPtr;
use abi::boot::slot;
use abi::rights::Rights;
use api::console::Console;
use api::environment::{DOORBELL, Environment, LogEntry, StoreFrame, VmConfig, VmEntry, Window};
use api::{Badge, CONTROL, Interface, log_ring, manifest};
use rt::cap::{CNode, PortRange};
use rt::{Cap, layout};

use crate::build::{self, Made, Windows};
use crate::failure::{Result, core};
use crate::partition::{Callee, Partition, badge};
use crate::system::System;

/// A CSpace being filled.
struct Gifts {
    node: Cap<CNode>,
    next: CPtr,
    names: BTreeMap<String, CPtr>,
}

impl Gifts {
    /// Derives a capability of root's into the next slot.
    fn give(&mut self, source: CPtr, rights: Rights, badge: u64) -> Result<CPtr> {
        let slot = self.next;
        self.node.mint(source, slot, rights, badge).map_err(core("give a capability"))?;
        self.next += 1;
        Ok(slot)
    }

    /// Derives a capability to call `other`; where that one stays down, its slot is left free for
    /// later.
    fn give_endpoint(&mut self, other: &Partition, badge: Badge) -> Result<CPtr> {
        if other.endpoint.cptr() != 0 {
            return self.give(other.endpoint.cptr(), Rights::WRITE, badge);
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    fn name(&mut self, name: impl Into<String>, source: CPtr, rights: Rights, badge: u64) -> Result<()> {
        let slot = self.give(source, rights, badge)?;
        self.names.insert(name.into(), slot);
        Ok(())
    }
}

/// Fills the CSpace of the partition at place `index` and describes it.
pub fn all(system: &mut System, index: usize, made: &Made, windows: &Windows) -> Result<Environment> {
    let mut gifts = Gifts { node: made.node, next: 1, names: BTreeMap::new() };
    own(&mut gifts, &system.partitions[index], made)?;
    if system.partitions[index].spec.answers_within != 0 {
        gifts.name("alive", system.alive.cptr(), Rights::WRITE, 1 << index)?;
    }
    let callees = callees(&mut gifts, system, index)?;
    system.partitions[index].callees = callees;
    ports(&mut gifts, system, index)?;
    let partition = &system.partitions[index];
    let mut store = Vec::new();
    for (frame, block) in partition.store.iter() {
        let cap = gifts.give(frame.cptr(), Rights::READ, 0)?;
        store.push(StoreFrame { cap, va: block.address, size_bits: block.bits });
    }
    let vms = vms(&mut gifts, system, partition)?;
    let interrupts = partition.interrupts.iter().enumerate();
    Ok(Environment {
        name: partition.spec.name.clone(),
        tsc_khz: system.boot.tsc_khz,
        cpu: system.cpu_of(partition) as u32,
        cpu_count: system.cpus.len() as u32,
        heap_bytes: partition.spec.heap_bytes,
        restarts: partition.restarts,
        clients: clients(system, &partition.spec.name),
        interrupts: interrupts.map(|(bit, (line, _))| (*line, interrupt_bit(bit))).collect(),
        no_virtualization: system.no_virtualization.to_string(),
        vm: vm_config(system, index, windows),
        vms,
        store,
        log: if partition.log.is_empty() {
            Window::default()
        } else {
            Window { va: layout::LOG, size: log_ring::BYTES }
        },
        logs: logs(system, partition),
        controls: controlled_vms(system, partition),
        generation: system.generation,
        secret: system.secret.filter(|_| partition.spec.secret),
        caps: gifts.names,
    })
}

/// Where the console finds the lines of others.
fn logs(system: &System, partition: &Partition) -> Vec<LogEntry> {
    let entry = |(index, writer): (usize, &Partition)| LogEntry {
        name: writer.spec.name.clone(),
        ring: build::log_window(index),
    };
    system.logs_for(partition).map(entry).collect()
}

/// The VMs that a partition may command.
fn controlled_vms(system: &System, partition: &Partition) -> Vec<String> {
    let vms = system.vms().map(|(_, vm)| &vm.spec.name);
    vms.filter(|name| partition.spec.controls.contains(name)).cloned().collect()
}

/// Bit of the doorbell for interrupt line number `number` of a partition.
pub const fn interrupt_bit(number: usize) -> u64 {
    DOORBELL << 1 << number
}

/// What every partition has of its own.
fn own(gifts: &mut Gifts, partition: &Partition, made: &Made) -> Result<()> {
    gifts.name("endpoint", partition.endpoint.cptr(), Rights::READ, 0)?;
    for (number, reply) in made.replies.iter().enumerate() {
        let name = if number == 0 { "reply".to_string() } else { format!("reply{number}") };
        gifts.name(name, reply.cptr(), Rights::ALL, 0)?;
    }
    gifts.name("doorbell", partition.doorbell.cptr(), Rights::READ, 0)?;
    for (line, interrupt) in &partition.interrupts {
        gifts.name(format!("irq.{line}"), interrupt.cptr(), Rights::WRITE, 0)?;
    }
    for (number, vcpu) in &made.vcpus {
        let rights = Rights::WRITE.or(Rights::EXECUTE);
        gifts.name(format!("vcpu{number}"), vcpu.cptr(), rights, 0)?;
    }
    if partition.spec.succession {
        gifts.name("machine", slot::MACHINE, Rights::WRITE, 0)?;
    }
    if let Some(bounce) = made.bounce {
        gifts.name("bounce", bounce.cptr(), Rights::READ, 0)?;
    }
    match &partition.guest {
        Some(guest) => gifts.name("guest", guest.space.cptr(), Rights::WRITE, 0),
        None => Ok(()),
    }
}

/// Whom it may call. A partition that could not be made (a VM where there is no virtualization) is
/// nobody to call.
fn callees(gifts: &mut Gifts, system: &System, index: usize) -> Result<Vec<Callee>> {
    let mut callees = Vec::new();
    let spec = &system.partitions[index].spec;
    let calls = spec.calls.iter().map(|name| (name, 0));
    for (name, control) in calls.chain(spec.controls.iter().map(|name| (name, CONTROL))) {
        let badge = badge(index) | control;
        if gifts.names.contains_key(name) {
            continue;
        }
        if name == manifest::ROOT {
            gifts.name(name, system.endpoint.cptr(), Rights::WRITE, badge)?;
        } else if let Some(other) = system.partitions.iter().find(|other| other.spec.name == *name) {
            if other.spec.vm.is_some() && !system.no_virtualization.is_empty() {
                continue;
            }
            let slot = gifts.give_endpoint(other, badge)?;
            gifts.names.insert(name.clone(), slot);
            callees.push(Callee { name: name.clone(), slot, badge });
            if name == Console::NAME {
                gifts.name("log", other.doorbell.cptr(), Rights::WRITE, log_ring::BELL)?;
            }
            if other.spec.vm.is_some() {
                gifts.name(format!("{name}.doorbell"), other.doorbell.cptr(), Rights::WRITE, DOORBELL)?;
            }
        }
    }
    Ok(callees)
}

/// Gives the capabilities to the endpoint of the partition at place `index`, which was made anew,
/// to those who had them before.
pub fn again(system: &System, index: usize) -> Result<()> {
    let callee = &system.partitions[index];
    for caller in &system.partitions {
        let Some(node) = caller.node else { continue };
        for had in caller.callees.iter().filter(|had| had.name == callee.spec.name) {
            let given = node.mint(callee.endpoint.cptr(), had.slot, Rights::WRITE, had.badge);
            given.map_err(core("give a capability again"))?;
        }
    }
    Ok(())
}

/// I/O ports, narrowed from all of them. Those that another instance has for now keep their place
/// and their name.
fn ports(gifts: &mut Gifts, system: &mut System, index: usize) -> Result<()> {
    let mut wanted = system.partitions[index].spec.ports.clone();
    let spare = system.spare_console(index);
    wanted.extend(spare);
    let here = system.has_line(index);
    for (number, ports) in wanted.into_iter().enumerate() {
        let name = format!("ports.{:x}", ports.first);
        let is_spare = number >= system.partitions[index].spec.ports.len();
        if here || is_spare {
            let narrow = narrow(system, index, ports)?;
            gifts.name(name, narrow, Rights::READ.or(Rights::WRITE), 0)?;
        } else {
            gifts.names.insert(name, gifts.next);
            gifts.next += 1;
        }
        system.partitions[index].port_slots.push(gifts.next - 1);
    }
    Ok(())
}

/// A capability of root's to ports of a partition, which ends with the partition.
fn narrow(system: &mut System, index: usize, ports: manifest::Ports) -> Result<CPtr> {
    let System { estate, partitions, .. } = system;
    let all: Cap<PortRange> = Cap::new(slot::PORTS);
    let narrow = estate.slot()?;
    partitions[index].slots.push(narrow);
    all.narrow(ports.first, ports.last, estate.node, narrow).map_err(core("narrow the ports"))?;
    Ok(narrow)
}

/// Gives a partition that runs the ports that it has places for. What it has already it keeps.
pub fn ports_come(system: &mut System, index: usize) -> Result<()> {
    let Some(node) = system.partitions[index].node else { return Ok(()) };
    for (number, ports) in system.partitions[index].spec.ports.clone().into_iter().enumerate() {
        let slot = system.partitions[index].port_slots.get(number).copied().unwrap_or(0);
        let narrow = narrow(system, index, ports)?;
        match node.mint(narrow, slot, Rights::READ.or(Rights::WRITE), 0) {
            // Given by an earlier request, which failed later on.
            Ok(()) | Err(rt::Error::SlotOccupied) => {}
            Err(error) => return Err(core("give the ports")(error)),
        }
    }
    Ok(())
}

/// Takes its ports from a partition that runs on without them.
pub fn ports_leave(system: &mut System, index: usize) -> Result<()> {
    let partition = &system.partitions[index];
    let Some(node) = partition.node else { return Ok(()) };
    for slot in partition.port_slots.iter().take(partition.spec.ports.len()) {
        node.delete(*slot).map_err(core("take the ports"))?;
    }
    Ok(())
}

/// Who may call a partition, by badge.
fn clients(system: &System, name: &str) -> BTreeMap<Badge, String> {
    let mut clients = BTreeMap::new();
    for (index, other) in system.partitions.iter().enumerate() {
        if other.spec.calls.iter().chain(&other.spec.controls).any(|callee| callee == name) {
            clients.insert(badge(index), other.spec.name.clone());
        }
    }
    clients
}

fn guest_window(index: u32, vm: &manifest::Vm) -> Window {
    Window { va: layout::GUEST + u64::from(index) * layout::GUEST_STRIDE, size: vm.memory_bytes }
}

/// The VMs that it checkpoints (with capabilities to them) or calls. One that another instance has
/// for now can be called all the same: it may be back by then.
fn vms(gifts: &mut Gifts, system: &System, partition: &Partition) -> Result<Vec<VmEntry>> {
    let mut entries = Vec::new();
    for (index, other) in system.vms() {
        let Some(vm) = &other.spec.vm else { continue };
        let name = &other.spec.name;
        let checkpoints = partition.spec.checkpoints.contains(name);
        let guest = other.guest.as_ref().filter(|_| checkpoints);
        if guest.is_none() && (checkpoints || !gifts.names.contains_key(name)) {
            continue;
        }
        let vm_badge = system.badge_of(name);
        let mut window = Window::default();
        if let Some(guest) = guest {
            let rights = Rights::READ.or(Rights::WRITE).or(Rights::SEAL);
            gifts.name(format!("guest.{name}"), guest.space.cptr(), rights, 0)?;
            gifts.name(format!("pager.{name}"), partition.endpoint.cptr(), Rights::WRITE, vm_badge)?;
            window = guest_window(index, vm);
        }
        entries.push(VmEntry {
            index,
            name: name.clone(),
            memory_bytes: vm.memory_bytes,
            quota: vm.quota,
            badge: vm_badge,
            guest: window,
        });
    }
    Ok(entries)
}

fn vm_config(system: &System, index: usize, windows: &Windows) -> Option<VmConfig> {
    let partition = &system.partitions[index];
    let vm = partition.spec.vm.as_ref()?;
    let told = partition.arrival.as_ref();
    let (vm_index, _) = system.vms().find(|(_, other)| core::ptr::eq(*other, partition))?;
    Some(VmConfig {
        index: vm_index,
        name: partition.spec.name.clone(),
        kind: vm.kind,
        memory_bytes: vm.memory_bytes,
        vcpus: vm.vcpus,
        command_line: told.map_or(&vm.command_line, |told| &told.command_line).clone(),
        kernel: windows.kernel,
        initrd: windows.initrd,
        token: told.map_or_else(|| system.token(&partition.spec.name), |told| told.token),
        quota: told.map_or(vm.quota, |told| told.quota),
        guest: guest_window(vm_index, vm),
        bounce: Window { va: layout::BOUNCE, size: 1 << layout::BOUNCE_BITS },
        arrives: partition.arrives,
    })
}
