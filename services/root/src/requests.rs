// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests to root: what others may ask, and what only those may who control it.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use abi::boot::{counter, slot};
use api::root::{Inventory, MAX_LIST, Process, ProcessState, Region, Reply, Request};
use api::{Badge, CONTROL};
use rt::Cap;
use rt::cap::{Machine, PortRange};

use crate::partition::Partition;
use crate::system::{self, System};
use crate::{serve, succession};

/// Port and value that switch a q35 machine off (its ACPI PM1a control block: S5).
const POWER_OFF: (u16, u16) = (0x604, 0x2000);

/// Answers a request.
pub fn answer(system: &mut System, badge: Badge, request: Request) -> Reply {
    let controls = badge & CONTROL != 0;
    match request {
        Request::Ps(from) => Reply::Ps(processes(system, from)),
        Request::Inventory => Reply::Inventory(inventory(system)),
        Request::Regions(from) => Reply::Regions(regions(system, from)),
        Request::Faults(from) => Reply::Faults(part(system.faults.iter(), from).cloned().collect()),
        Request::Log(from) => {
            let (start, lines) = system.journal.read(from);
            Reply::Log { start, lines }
        }
        Request::Restart(_) | Request::Kill(_) | Request::PowerOff if !controls => Reply::Denied,
        Request::Restart(name) => with_partition(system, &name, restart),
        Request::Kill(name) => with_partition(system, &name, kill),
        Request::PowerOff => power_off(),
        Request::Estate(request) => Reply::Estate(succession::answer(system, badge, request)),
    }
}

fn part<T>(list: impl Iterator<Item = T>, from: u32) -> impl Iterator<Item = T> {
    list.skip(from as usize).take(MAX_LIST)
}

fn with_partition(system: &mut System, name: &str, act: fn(&mut System, usize) -> Reply) -> Reply {
    match system.partitions.iter().position(|partition| partition.spec.name == name) {
        Some(index) => act(system, index),
        None => Reply::Refused(format!("there is no partition {name:?}")),
    }
}

fn restart(system: &mut System, index: usize) -> Reply {
    let partition = &system.partitions[index];
    if partition.state == ProcessState::Away {
        return Reply::Refused("it is another hypervisor's for now".to_string());
    }
    if partition.spec.vm.is_some() && partition.guest.is_none() {
        return Reply::Refused(system.no_virtualization.to_string());
    }
    serve::restart(system, index);
    match &system.partitions[index].state {
        ProcessState::Running => Reply::Done,
        ProcessState::Refused(reason) | ProcessState::Faulted(reason) => Reply::Refused(reason.clone()),
        ProcessState::Killed => Reply::Refused("killed".to_string()),
        ProcessState::Away => Reply::Refused("it is another hypervisor's".to_string()),
    }
}

fn kill(system: &mut System, index: usize) -> Reply {
    serve::end(system, index, ProcessState::Killed);
    system.journal.say(format_args!("root: {} killed", system.partitions[index].spec.name));
    Reply::Done
}

fn processes(system: &System, from: u32) -> Vec<Process> {
    part(system.partitions.iter(), from).map(process).collect()
}

fn process(partition: &Partition) -> Process {
    Process {
        name: partition.spec.name.clone(),
        state: partition.state.clone(),
        cpu: partition.cpu as u32,
        priority: partition.spec.priority,
        memory_bytes: partition.memory_bytes(),
        restarts: partition.restarts,
        is_vm: partition.spec.vm.is_some(),
    }
}

fn inventory(system: &System) -> Inventory {
    let boot = system.boot;
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    Inventory {
        apic_ids: system.cpus.iter().filter(|cpu| cpu.online).map(|cpu| cpu.apic_id).collect(),
        memory_bytes: system.memory.iter().map(|range| range.bytes).sum(),
        free_bytes: system.estate.free_bytes(),
        tsc_khz: boot.tsc_khz,
        abi_version: boot.abi_version,
        no_virtualization: system.no_virtualization.to_string(),
        modules: system.modules.iter().map(|module| module.name.clone()).collect(),
        boot_ticks: system::boot_ticks(),
        rendezvous: machine.counter(counter::RENDEZVOUS).unwrap_or(0),
    }
}

fn regions(system: &System, from: u32) -> Vec<Region> {
    let boot = system.boot;
    let count = usize::try_from(boot.region_count).unwrap_or(0).min(boot.regions.len());
    let regions = part(boot.regions[..count].iter(), from);
    regions.map(|region| Region { base: region.base, size: region.size, kind: region.kind }).collect()
}

fn power_off() -> Reply {
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    match ports.out16(POWER_OFF.0, POWER_OFF.1) {
        Ok(()) => Reply::Refused("this machine does not switch off that way".to_string()),
        Err(error) => Reply::Refused(format!("{error:?}")),
    }
}
