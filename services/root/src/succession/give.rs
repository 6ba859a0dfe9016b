// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving: what is to be done before somebody else may use a resource.

use alloc::vec::Vec;

use abi::boot::slot;
use api::estate::Use;
use api::root::ProcessState;
use rt::Cap;
use rt::cap::{Machine, Untyped};
use rt::device::{LastWord, Target};

use super::course;
use super::take::place_of;
use crate::failure::{Failure, Result, core};
use crate::frames::Frames;
use crate::grant;
use crate::system::System;

/// A CPU: threads move away, and it stands still. The carve-out's goes on elsewhere, at the launch.
pub fn cpu(system: &mut System, number: u8, last_word: Option<(u64, u64)>) -> Result<()> {
    let course = course(system)?;
    let ids = &course.inventory.cpus;
    let id = *ids.get(usize::from(number)).ok_or_else(|| Failure::new("there is no such CPU"))?;
    let to_launch = course.carve.as_ref().is_some_and(|carve| carve.frame.cptr() != 0);
    let launched_later = course.first && id == course.inventory.second_cpu && to_launch;
    let frame = course.bridge.head();
    let last = last_word.map(|(offset, value)| LastWord { frame, offset, value });
    let place = place_of(system, id)?;
    if !system.cpus[place].online {
        return Ok(());
    }
    if system.cpus.iter().filter(|cpu| cpu.online).count() > 1 {
        vacate(system, place)?;
    }
    if launched_later {
        return Ok(());
    }
    // The last one takes this thread with it.
    system.cpus[place].cap.release(Target::default(), last).map_err(core("release the CPU"))?;
    system.cpus[place].online = false;
    Ok(())
}

/// Moves every thread away from a CPU.
pub fn vacate(system: &mut System, place: usize) -> Result<()> {
    let first = system.cpus[0].cap;
    for partition in system.partitions.iter_mut().filter(|partition| partition.cpu == place) {
        if let Some(thread) = partition.thread {
            thread.set_cpu(first).map_err(core("move a thread"))?;
        }
        partition.cpu = 0;
    }
    Ok(())
}

/// Memory. What is the home of a party goes with that party.
pub fn extent(system: &mut System, number: u8) -> Result<()> {
    match course(system)?.extent(number)? {
        Use::Free => free(system, number),
        Use::Store(store) => super::store::leave(system, store, number),
        Use::First | Use::Second | Use::Vm(_) => Ok(()),
    }
}

/// Memory that nobody else uses.
pub fn free(system: &mut System, number: u8) -> Result<()> {
    if !course(system)?.first {
        end_what_lives_outside(system)?;
    }
    let System { estate, succession, .. } = system;
    let blocks = succession.as_mut().and_then(|course| course.blocks.get_mut(usize::from(number)));
    for (cap, _) in blocks.into_iter().flatten().filter(|(cap, _)| *cap != 0) {
        let memory: Cap<Untyped> = Cap::new(*cap);
        estate.node.revoke(*cap).map_err(core("empty memory"))?;
        estate.surrender(memory)?;
        estate.remove(memory);
        *cap = 0;
    }
    Ok(())
}

/// The party that goes back ends what it has built in memory that is not its home: all but console
/// and succession service.
fn end_what_lives_outside(system: &mut System) -> Result<()> {
    for index in 0..system.partitions.len() {
        let stays = system.partitions[index].spec.succession || system.spare_console(index).is_some();
        if stays || system.partitions[index].pieces.is_empty() {
            continue;
        }
        let System { estate, partitions, .. } = system;
        let partition = &mut partitions[index];
        partition.tear_down(estate)?;
        partition.pieces.clear();
        // A store that moves has left before.
        if partition.store.are_here() {
            partition.store = Frames::default();
        }
        partition.state = ProcessState::Away;
    }
    Ok(())
}

/// Ports and interrupts. Their service ends, unless it is the console, which can do without.
pub fn line(system: &mut System, number: u8) -> Result<()> {
    let course = course(system)?;
    let line = course.inventory.lines.get(usize::from(number));
    let service = line.ok_or_else(|| Failure::new("there is no such line"))?.service.clone();
    let Some(index) = system.partitions.iter().position(|partition| partition.spec.name == service) else {
        return Err(Failure::new("the service of the line is not known here"));
    };
    if let Some(here) = super::course(system)?.lines.get_mut(usize::from(number)) {
        *here = false;
    }
    if system.partitions[index].spec.interrupts.is_empty() {
        return grant::ports_leave(system, index);
    }
    let System { estate, partitions, .. } = system;
    let partition = &mut partitions[index];
    partition.tear_down(estate)?;
    for (_, interrupt) in partition.interrupts.drain(..) {
        estate.discard(interrupt.cptr());
    }
    partition.state = ProcessState::Away;
    Ok(())
}

/// A VM that is the other party's by now. Repeated, it goes on where it failed.
pub fn forget(system: &mut System, vm: u8) -> Result<()> {
    let index = super::take::partition_of(system, vm)?;
    let System { estate, partitions, modules, .. } = system;
    let partition = &mut partitions[index];
    if partition.guest.is_some() {
        partition.tear_down(estate)?;
        partition.state = ProcessState::Away;
        partition.arrives = true;
        partition.guest_away = partition.guest.take();
    }
    if let Some(guest) = &mut partition.guest_away {
        guest.leave(estate)?;
    }
    // A module leaves with the last VM that starts from it.
    for module in modules {
        let needed = partitions.iter().filter(|other| other.guest.is_some()).any(|other| {
            let told = other.arrival.as_ref().map(|told| (&told.kernel, &told.initrd));
            let own = other.spec.vm.as_ref().map(|vm| (&vm.kernel, &vm.initrd));
            told.or(own).is_some_and(|(kernel, initrd)| [kernel, initrd].contains(&&module.name))
        });
        if !needed {
            module.leave(estate)?;
        }
    }
    Ok(())
}

/// Whatever the other party does, its CPUs stop: all that are not this one's. One that cannot be
/// stopped does not keep the others running.
pub fn fence(system: &mut System) -> Result<()> {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let ids = course(system)?.inventory.cpus.clone();
    let theirs = |id: &u32| !system.cpus.iter().any(|cpu| cpu.online && cpu.apic_id == *id);
    let stop = |id: u32| machine.init(id).map_err(core("stop a CPU"));
    ids.into_iter().filter(theirs).map(stop).fold(Ok(()), Result::and)
}

/// Fault injection: this hypervisor is no more. Nobody is told, and no word of the ledger changes.
pub fn stop(system: &mut System) -> Result<()> {
    for place in (0..system.cpus.len()).rev().filter(|&place| system.cpus[place].online).collect::<Vec<_>>() {
        if place > 0 {
            vacate(system, place)?;
        }
        system.cpus[place].cap.release(Target::default(), None).map_err(core("stop a CPU"))?;
    }
    Ok(())
}
