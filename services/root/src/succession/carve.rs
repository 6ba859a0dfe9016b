// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beginning of a succession and its end: carving out, launching, settling.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::object::ObjectType;
use abi::rights::Rights;
use api::estate::{self, Extent, Inventory, Line, Range, Reply, SPARE_CONSOLE, Store, Use, Vm};
use root::block::Block;
use root::ranges;
use rt::cap::{Frame, Untyped};
use rt::device::Target;
use rt::{Cap, layout};

use super::bridge::{Bridge, LIMIT};
use super::{CarveOut, Course, course, take};
use crate::estate::Estate;
use crate::failure::{Failure, Result, core};
use crate::partition::Partition;
use crate::system::System;

/// Memory that the first party keeps to work with.
const KEPT: u64 = 4 << 20;
/// Smallest and largest carve-out.
const SIZES: core::ops::RangeInclusive<u64> = 8 << 20..=32 << 20;
/// Most extents of free memory; what is in more pieces stays with the home until the end.
const MOST_FREE: usize = 96;

/// What is in the way of a carve-out?
pub fn examine(system: &mut System, bytes: u64) -> Result<Reply> {
    let cpu = choose_cpu(system)?;
    carve_bits(bytes)?;
    if !system.no_virtualization.is_empty() {
        return Err(Failure::new(format!("there are no VMs to hand over: {}", system.no_virtualization)));
    }
    if system.estate.free_bytes() < bytes + (1 << 20) {
        return Err(Failure::new(format!("{} MiB of memory are not free", bytes >> 20)));
    }
    if let Some((_, vm)) = system.vms().find(|(_, vm)| vm.thread.is_none()) {
        let name = &vm.spec.name;
        return Err(Failure::new(format!("the VM {name:?} has no monitor that runs, and cannot move")));
    }
    let vms = system.vms().map(|(_, vm)| vm.spec.name.clone()).collect();
    Ok(Reply::Fit { cpu: system.cpus[cpu].apic_id, console: SPARE_CONSOLE, vms })
}

fn carve_bits(bytes: u64) -> Result<u8> {
    if !bytes.is_power_of_two() || !SIZES.contains(&bytes) {
        return Err(Failure::new("a carve-out has 8, 16 or 32 MiB"));
    }
    Ok(bytes.ilog2() as u8)
}

/// The last CPU on which no VM has its place, or else the last one; never the first.
fn choose_cpu(system: &System) -> Result<usize> {
    let free = |place: &usize| system.vms().all(|(_, vm)| vm.cpu != *place || vm.thread.is_none());
    let others = || (1..system.cpus.len()).rev().filter(|&place| system.cpus[place].online);
    let chosen = others().find(free).or_else(|| others().next());
    chosen.ok_or_else(|| Failure::new("the machine has one CPU; a second hypervisor needs one of its own"))
}

/// Takes CPU and memory out of use and makes the bridge.
pub fn carve(system: &mut System, caller: usize, bytes: u64) -> Result<Reply> {
    if system.succession.is_none() {
        examine(system, bytes)?;
        let bits = carve_bits(bytes)?;
        let place = choose_cpu(system)?;
        let vms = system.vms().count();
        let bridge = Bridge::new(&mut system.estate, vms)?;
        let carve = match cut(system, bits) {
            Ok(carve) => carve,
            Err(failure) => {
                bridge.end(&mut system.estate);
                return Err(failure);
            }
        };
        system.succession = Some(Course {
            inventory: Inventory::default(),
            first: true,
            bridge,
            carve: Some(carve),
            blocks: Vec::new(),
            lines: Vec::new(),
        });
        let ready = describe(system, place).and_then(|()| show(system, caller));
        if let Err(Failure(reason)) = ready {
            return Err(match settle(system) {
                Ok(()) => Failure(reason),
                Err(Failure(and)) => Failure(format!("{reason}; giving it back: {and}")),
            });
        }
    } else {
        // The caller may have been started anew, and see nothing yet.
        show(system, caller)?;
    }
    carved(system)
}

/// Memory for the carve-out.
fn cut(system: &mut System, bits: u8) -> Result<CarveOut> {
    let estate = &mut system.estate;
    let untyped = estate.untyped_below(bits, LIMIT)?;
    let base = untyped.describe().map_err(core("describe the carve-out"))?.base;
    let block = Block { address: base, bits };
    match estate.make(untyped, ObjectType::Frame, bits) {
        Ok(frame) => Ok(CarveOut { untyped, frame: Cap::new(frame), block, mapped: 0 }),
        Err(failure) => {
            estate.add(untyped, block);
            Err(failure)
        }
    }
}

/// Makes the inventory, of everything, and writes it into the bridge.
fn describe(system: &mut System, place: usize) -> Result<()> {
    let free = system.estate.detach_free(KEPT)?;
    let course = course(system)?;
    let carved =
        course.carve.as_ref().map(|carve| Range { base: carve.block.address, bytes: carve.block.size() });
    let second = ranges::join([Some(course.bridge.range), carved].into_iter().flatten().collect());
    let mut inventory = Inventory {
        version: String::from(crate::version()),
        generation: system.generation,
        first_cpu: system.cpus[0].apic_id,
        second_cpu: system.cpus[place].apic_id,
        secret: system.secret,
        cpus: cpus(system),
        lines: lines(system),
        vms: system.vms().map(|(_, vm)| describe_vm(system, vm)).collect(),
        modules: system.modules.iter().map(crate::modules::Module::describe).collect(),
        stores: stores(system),
        extents: Vec::new(),
    };
    let mut blocks = Vec::new();
    inventory.extents.push(Extent { used: Use::Second, ranges: second });
    for (number, vm) in (0..).zip(&inventory.vms) {
        let listed = inventory.extents.iter().flat_map(|extent| extent.ranges.clone()).collect();
        let ranges = ranges::subtract(&memory_of(&inventory, vm), &ranges::join(listed));
        inventory.extents.push(Extent { used: Use::Vm(number), ranges });
    }
    for (number, store) in (0..).zip(&inventory.stores) {
        let ranges = ranges::join(store.frames.iter().map(range).collect());
        inventory.extents.push(Extent { used: Use::Store(number), ranges });
    }
    blocks.resize_with(inventory.extents.len(), Vec::new);
    list_free(free, &mut inventory, &mut blocks, &mut system.estate);
    let listed = inventory.extents.iter().flat_map(|extent| extent.ranges.clone()).collect();
    let home = ranges::subtract(&system.memory, &ranges::join(listed));
    inventory.extents.push(Extent { used: Use::First, ranges: home });
    blocks.push(Vec::new());
    let course = super::course(system)?;
    course.lines = inventory.lines.iter().map(|_| true).collect();
    course.blocks = blocks;
    course.inventory = inventory;
    course.bridge.write_inventory(&course.inventory)
}

/// Memory of a VM: its own, and the modules that it starts from.
fn memory_of(inventory: &Inventory, vm: &Vm) -> Vec<Range> {
    let own = vm.memory.iter().map(range);
    let modules = inventory.modules.iter().filter(|module| [&vm.kernel, &vm.initrd].contains(&&module.name));
    ranges::join(own.chain(modules.map(|module| module.range)).collect())
}

fn range(block: &estate::Block) -> Range {
    Range { base: block.base, bytes: 1 << block.bits }
}

/// The stores of the services that keep checkpoints.
fn stores(system: &System) -> Vec<Store> {
    let with = |partition: &&Partition| {
        partition.has_checkpoints() && !partition.store.is_empty() && partition.store.are_here()
    };
    let store = |partition: &Partition| Store {
        service: partition.spec.name.clone(),
        frames: partition.store.blocks(),
    };
    system.partitions.iter().filter(with).map(store).collect()
}

/// Free memory: an extent for each range.
fn list_free(
    free: Vec<(Cap<Untyped>, Block)>,
    inventory: &mut Inventory,
    blocks: &mut Vec<Vec<(abi::CPtr, Block)>>,
    estate: &mut Estate,
) {
    let all = free.iter().map(|(_, block)| Range { base: block.address, bytes: block.size() }).collect();
    let mut ranges = ranges::join(all);
    ranges.sort_by_key(|range| core::cmp::Reverse(range.bytes));
    ranges.truncate(MOST_FREE);
    let first = inventory.extents.len();
    for range in &ranges {
        inventory.extents.push(Extent { used: Use::Free, ranges: alloc::vec![*range] });
        blocks.push(Vec::new());
    }
    for (cap, block) in free {
        let within = |range: &Range| range.base <= block.address && block.address < range.end();
        match ranges.iter().position(within) {
            Some(index) => blocks[first + index].push((cap.cptr(), block)),
            None => estate.add(cap, block),
        }
    }
}

/// First those of VMs, in the VMs' order, then the others; the first party's home last.
fn cpus(system: &System) -> Vec<u32> {
    let online = |place: &usize| *place != 0 && system.cpus[*place].online;
    let of_vms = system.vms().map(|(_, vm)| vm.cpu).filter(online);
    let mut places: Vec<usize> = Vec::new();
    for place in of_vms.chain((1..system.cpus.len()).filter(online)).chain([0]) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.into_iter().map(|place| system.cpus[place].apic_id).collect()
}

fn lines(system: &System) -> Vec<Line> {
    let with =
        |partition: &&Partition| !partition.spec.ports.is_empty() || !partition.spec.interrupts.is_empty();
    let line = |partition: &Partition| Line {
        service: partition.spec.name.clone(),
        ports: partition.spec.ports.iter().map(|ports| (ports.first, ports.last)).collect(),
        interrupts: partition.spec.interrupts.clone(),
    };
    system.partitions.iter().filter(with).map(line).collect()
}

fn describe_vm(system: &System, partition: &Partition) -> Vm {
    if let Some(told) = &partition.arrival {
        return told.clone();
    }
    let spec = partition.spec.vm.clone();
    let name = partition.spec.name.clone();
    let memory = partition.guest.as_ref().map(|guest| guest.frames.blocks()).unwrap_or_default();
    let token = system.token(&name);
    spec.map_or_else(
        || Vm {
            name: String::new(),
            kind: api::environment::VmKind::Unikernel,
            memory_bytes: 0,
            memory: Vec::new(),
            vcpus: 0,
            command_line: String::new(),
            kernel: String::new(),
            initrd: String::new(),
            token: [0; 16],
            quota: 0,
        },
        |vm| Vm {
            name: name.clone(),
            kind: vm.kind,
            memory_bytes: vm.memory_bytes,
            memory,
            vcpus: vm.vcpus,
            command_line: vm.command_line,
            kernel: vm.kernel,
            initrd: vm.initrd,
            token,
            quota: vm.quota,
        },
    )
}

/// Maps carve-out and bridge into the service, which may have had them mapped before.
fn show(system: &mut System, caller: usize) -> Result<()> {
    super::bridge::open(system, caller)?;
    let space = system.partitions[caller].space.ok_or_else(|| Failure::new("the service does not run"))?;
    let System { estate, succession, .. } = system;
    let carve = succession.as_mut().and_then(|course| course.carve.as_mut());
    let carve = carve.ok_or_else(|| Failure::new("it was carved out by the other party"))?;
    if carve.frame.cptr() == 0 {
        return Err(Failure::new("the carve-out is launched already"));
    }
    if carve.mapped != 0 {
        estate.discard(carve.mapped);
        carve.mapped = 0;
    }
    let rights = Rights::READ.or(Rights::WRITE);
    // Noted first: where mapping it fails, settling takes it back.
    carve.mapped = estate.derive(carve.frame.cptr(), rights, 0)?;
    let copy: Cap<Frame> = Cap::new(carve.mapped);
    copy.map(space, layout::CARVE_OUT, rights).map_err(core("map the carve-out"))
}

fn carved(system: &mut System) -> Result<Reply> {
    let (rsdp, start_page) = (system.boot.acpi_rsdp, system.boot.start_page);
    let own = ["alone", "serial=", "rsdp=", "tsc-khz=", "timer-ratio=", "operator-secret="];
    let words = crate::system::command_line(system.boot).split_ascii_whitespace();
    let shared: Vec<&str> = words.filter(|word| !own.iter().any(|own| word.starts_with(own))).collect();
    // Nobody has the PIT alone while two hypervisors run, and two measurements would differ.
    let (khz, ratio) = (system.boot.tsc_khz, system.boot.timer_ratio);
    let command_line = format!("{} tsc-khz={khz} timer-ratio={ratio}", shared.join(" "));
    let course = course(system)?;
    let Some(carve) = &course.carve else { return Err(Failure::new("it was carved out by the other party")) };
    Ok(Reply::Carved {
        range: Range { base: carve.block.address, bytes: carve.block.size() },
        bridge: course.bridge.range,
        start_page: Range { base: start_page, bytes: if start_page == 0 { 0 } else { abi::PAGE_SIZE } },
        rsdp,
        console: SPARE_CONSOLE,
        command_line,
    })
}

/// Lets the carve-out go, and its CPU.
pub fn launch(system: &mut System, entry: u64, information: u64) -> Result<()> {
    let cpu = course(system)?.inventory.second_cpu;
    let place = take::place_of(system, cpu)?;
    super::give::vacate(system, place)?;
    let System { estate, succession, cpus, .. } = system;
    let carve = succession.as_mut().and_then(|course| course.carve.as_mut());
    let carve = carve.ok_or_else(|| Failure::new("nothing is carved out"))?;
    if carve.mapped != 0 {
        estate.discard(carve.mapped);
        carve.mapped = 0;
    }
    estate.surrender(carve.frame)?;
    carve.frame = Cap::new(0);
    let released = cpus[place].cap.release(Target { entry, information }, None);
    released.map_err(core("release the CPU"))?;
    cpus[place].online = false;
    Ok(())
}

/// It is over, and this party owns everything. The succession is forgotten, so this cannot be asked
/// for again: what can be done is done, whatever fails.
pub fn settle(system: &mut System) -> Result<()> {
    let Some(course) = system.succession.take() else { return Ok(()) };
    // All VMs are here: a VMM that is started anew starts its VM.
    system
        .partitions
        .iter_mut()
        .filter(|partition| partition.guest.is_some())
        .for_each(|vm| vm.arrives = false);
    if course.first { settle_first(system, course) } else { settle_second(system, course) }
}

fn settle_first(system: &mut System, course: Course) -> Result<()> {
    let estate = &mut system.estate;
    course.bridge.end(estate);
    let uncarved = course.carve.map_or(Ok(()), |carve| uncarve(estate, &carve));
    let mut missing = Vec::new();
    for (cap, block) in course.blocks.into_iter().flatten() {
        match cap {
            0 => missing.push(block),
            cap => estate.add(Cap::new(cap), block),
        }
    }
    let taken = estate.take_in(missing);
    system.start_the_rest();
    uncarved.and(taken)
}

/// The carve-out is memory to take from again.
fn uncarve(estate: &mut Estate, carve: &CarveOut) -> Result<()> {
    if carve.mapped != 0 {
        estate.discard(carve.mapped);
    }
    let frame = match carve.frame.cptr() {
        0 => estate.adopt(carve.block, ObjectType::Frame)?,
        frame => frame,
    };
    estate.discard(frame);
    estate.add(carve.untyped, carve.block);
    Ok(())
}

fn settle_second(system: &mut System, course: Course) -> Result<()> {
    course.bridge.end(&mut system.estate);
    let homes = course.inventory.extents.iter().filter(|extent| extent.used == Use::First);
    let home: Vec<Range> = homes.flat_map(|extent| extent.ranges.clone()).collect();
    let taken = system.estate.take_in(ranges::blocks(&home));
    let all = course.inventory.extents.iter().flat_map(|extent| extent.ranges.clone());
    system.memory = ranges::join(all.collect());
    system.start_the_rest();
    taken
}
