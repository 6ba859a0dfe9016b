// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking: what is to be done to use a resource that nobody uses.

use abi::boot::slot;
use abi::object::ObjectType;
use api::estate::Use;
use api::root::ProcessState;
use root::ranges;
use rt::cap::Machine;
use rt::scratch::{MODULE_ALIGN, MODULE_STRIDE};
use rt::{Cap, layout, time};

use super::bridge::Bridge;
use super::{Course, course};
use crate::failure::{Failure, Result, core};
use crate::grant;
use crate::guest::GuestMemory;
use crate::modules::Module;
use crate::system::{CpuPlace, System};

/// How long a CPU stands after an INIT before it may be started (SDM vol. 3A, 9.4.4.1).
const INIT_MS: u64 = 10;
/// Most bytes of a module that comes: it fits its window wherever it begins.
const MODULE_MAX: u64 = MODULE_STRIDE - MODULE_ALIGN;

/// Where a CPU with this APIC id stands among those that are or were here.
pub fn place_of(system: &System, apic_id: u32) -> Result<usize> {
    let place = system.cpus.iter().position(|cpu| cpu.apic_id == apic_id);
    place.ok_or_else(|| Failure::new("this CPU was never here"))
}

/// The partition of a VM.
pub fn partition_of(system: &mut System, vm: u8) -> Result<usize> {
    let vms = &course(system)?.inventory.vms;
    let name = vms.get(usize::from(vm)).ok_or_else(|| Failure::new("there is no such VM"))?.name.clone();
    let index = system.partitions.iter().position(|p| p.spec.name == name && p.spec.vm.is_some());
    index.ok_or_else(|| Failure::new(alloc::format!("the manifest has no VM {name:?}")))
}

/// A CPU.
pub fn cpu(system: &mut System, number: u8) -> Result<()> {
    let ids = &course(system)?.inventory.cpus;
    let id = *ids.get(usize::from(number)).ok_or_else(|| Failure::new("there is no such CPU"))?;
    if system.cpus.iter().any(|cpu| cpu.online && cpu.apic_id == id) {
        return Ok(());
    }
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    machine.init(id).map_err(core("stop a CPU"))?;
    system.pause(INIT_MS);
    let to = system.estate.slot()?;
    let place = match machine.adopt_cpu(id, system.estate.node, to) {
        Ok(place) => place as usize,
        Err(error) => {
            system.estate.forget(to);
            return Err(core("start a CPU")(error));
        }
    };
    let cpu = CpuPlace { cap: Cap::new(to), apic_id: id, online: true };
    match system.cpus.get_mut(place) {
        Some(had) => {
            *had = CpuPlace { cap: had.cap, ..cpu };
            system.estate.discard(to);
        }
        None => system.cpus.push(cpu),
    }
    spread(system)
}

/// Lets every thread run where it has its place, as far as that is here.
fn spread(system: &mut System) -> Result<()> {
    for index in 0..system.partitions.len() {
        let wanted = system.cpu_of(&system.partitions[index]);
        let partition = &mut system.partitions[index];
        if partition.cpu != wanted
            && let Some(thread) = partition.thread
        {
            thread.set_cpu(system.cpus[wanted].cap).map_err(core("move a thread"))?;
            partition.cpu = wanted;
        }
    }
    Ok(())
}

/// Memory. The home of the party that leaves is used only after it has left, at the end.
pub fn extent(system: &mut System, number: u8) -> Result<()> {
    match course(system)?.extent(number)? {
        Use::Free => free(system, number),
        Use::Store(store) => super::store::come(system, store, number),
        Use::First | Use::Second | Use::Vm(_) => Ok(()),
    }
}

/// Memory that nobody uses otherwise.
pub fn free(system: &mut System, number: u8) -> Result<()> {
    let System { estate, succession, .. } = system;
    let Some(course) = succession else { return Ok(()) };
    let Some(blocks) = course.blocks.get_mut(usize::from(number)) else { return Ok(()) };
    for (cap, block) in blocks.iter_mut().filter(|(cap, _)| *cap == 0) {
        *cap = estate.adopt(*block, ObjectType::Untyped)?;
        if !course.first {
            estate.add(Cap::new(*cap), *block);
        }
    }
    if course.first {
        return Ok(());
    }
    // Its own list grows as blocks come: where an earlier request has failed this one goes on.
    let ranges = course.inventory.extents.get(usize::from(number)).map(|extent| extent.ranges.clone());
    for block in ranges::blocks(&ranges.unwrap_or_default()).skip(blocks.len()) {
        let cap = estate.adopt(block, ObjectType::Untyped)?;
        blocks.push((cap, block));
        estate.add(Cap::new(cap), block);
    }
    Ok(())
}

/// Ports and interrupts, and what was waiting for them.
pub fn line(system: &mut System, number: u8) -> Result<()> {
    let Course { inventory, lines, .. } = course(system)?;
    let place = usize::from(number);
    let (Some(line), Some(&here)) = (inventory.lines.get(place), lines.get(place)) else {
        return Err(Failure::new("there is no such line"));
    };
    if here {
        return Ok(());
    }
    let service = line.service.clone();
    let index = system.partitions.iter().position(|partition| partition.spec.name == service);
    if let Some(index) = index.filter(|&index| system.partitions[index].node.is_some()) {
        grant::ports_come(system, index)?;
        system.partitions[index].doorbell.signal().map_err(core("ring"))?;
    }
    // Nothing fails from here on; what starts asks whether its line is here.
    if let Some(here) = course(system)?.lines.get_mut(place) {
        *here = true;
    }
    if let Some(index) = index {
        system.bind_interrupts(index);
        system.start_the_rest();
    }
    Ok(())
}

/// A VM: its memory comes, and a VMM that waits for its vCPUs.
pub fn build(system: &mut System, vm: u8) -> Result<()> {
    let index = partition_of(system, vm)?;
    if system.partitions[index].thread.is_none() {
        let told = course(system)?.inventory.vms[usize::from(vm)].clone();
        check(system, index, &told)?;
        bring_modules(system, [&told.kernel, &told.initrd])?;
        let System { estate, partitions, .. } = system;
        let partition = &mut partitions[index];
        if partition.guest.is_none() {
            // What has come stays there over a failure, and the next request goes on.
            let away = match partition.guest_away.take() {
                Some(guest) => guest,
                None => GuestMemory::elsewhere(estate, told.memory_bytes, &told.memory)?,
            };
            partition.guest_away.insert(away).come(estate)?;
            partition.guest = partition.guest_away.take();
        }
        partition.arrival = Some(told);
        partition.arrives = true;
        system.open_and_start(index);
        system.estate.look_away();
        if let ProcessState::Refused(reason) = &system.partitions[index].state {
            return Err(Failure::new(reason.clone()));
        }
    }
    open(system, vm)
}

/// Nobody else has anything of the VM any more.
pub fn arrived(system: &mut System, vm: u8) -> Result<()> {
    let index = partition_of(system, vm)?;
    system.partitions[index].arrives = false;
    Ok(())
}

/// Can the VMM that the manifest describes take this VM?
fn check(system: &System, index: usize, told: &api::estate::Vm) -> Result<()> {
    let partition = &system.partitions[index];
    let fits = partition.spec.vm.as_ref().is_some_and(|vm| {
        vm.vcpus == told.vcpus && vm.memory_bytes == told.memory_bytes && vm.kind == told.kind
    });
    if !fits {
        return Err(Failure::new("the manifest has a VM of this name that is made otherwise"));
    }
    // The other party wrote down where the memory lies and where it is mapped.
    if !ranges::make_up(&told.memory, told.memory_bytes) {
        return Err(Failure::new("the memory of the VM is not as it should be"));
    }
    Ok(())
}

fn bring_modules(system: &mut System, names: [&alloc::string::String; 2]) -> Result<()> {
    let System { estate, succession, modules, .. } = system;
    let Some(course) = succession else { return Ok(()) };
    for told in course.inventory.modules.iter().filter(|module| names.contains(&&module.name)) {
        if !modules.iter().any(|module| module.name == told.name) {
            if !ranges::is_within_pages(told, MODULE_MAX) {
                return Err(Failure::new("a module of the VM is not as it should be"));
            }
            modules.push(Module::elsewhere(told));
        }
        for module in modules.iter_mut().filter(|module| module.name == told.name) {
            module.come(estate)?;
        }
    }
    Ok(())
}

/// Maps the handover window of a VM into its VMM.
pub fn open(system: &mut System, vm: u8) -> Result<()> {
    let index = partition_of(system, vm)?;
    let window =
        course(system)?.bridge.window(vm).ok_or_else(|| Failure::new("the bridge has no room for it"))?;
    Bridge::map(system, window, index, layout::HANDOVER).map(|_| ())
}

impl System {
    /// Lets some milliseconds pass.
    pub fn pause(&mut self, ms: u64) {
        let end = time::after_ms(ms);
        // Nobody signals it.
        while time::now() < end && self.never.wait(end) != Err(rt::Error::TimedOut) {}
    }

    /// Starts a partition whose callers may have been told that it is not there.
    fn open_and_start(&mut self, index: usize) {
        let opened = self.partitions[index].open(&mut self.estate);
        match opened.and_then(|closed| if closed { grant::again(self, index) } else { Ok(()) }) {
            Ok(()) => self.start_one(index),
            Err(Failure(reason)) => self.refuse(index, reason),
        }
    }

    /// Starts the services that had to wait for what the machine was short of.
    pub fn start_the_rest(&mut self) {
        for index in 0..self.partitions.len() {
            let partition = &self.partitions[index];
            let waits = partition.thread.is_none()
                && matches!(partition.state, ProcessState::Refused(_) | ProcessState::Away);
            if waits && partition.spec.vm.is_none() && self.has_line(index) && !self.store_is_away(index) {
                let most = self.estate.free_bytes() / 2;
                let partition = &mut self.partitions[index];
                if partition.store.is_empty() && partition.spec.store_bytes > 0 {
                    let _ = partition.take_store(&mut self.estate, most);
                }
                self.open_and_start(index);
            }
        }
        self.give_serial_port();
        self.estate.look_away();
    }
}
