// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that is given to the root service, and the page that says what it is.

use super::Root;
use super::memory::{Memory, blocks};
use super::{CNODE_BITS, SPACE_BITS};
use crate::lookup;
use crate::state;
use abi::boot::{
    BootInfo, MAGIC, MAX_COMMAND_LINE, MAX_CPUS, MAX_MODULE_NAME, MAX_MODULES, MAX_REGIONS, MAX_UNTYPED,
    ModuleInfo, RegionInfo, RegionKind, UntypedInfo, slot,
};
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::{PAGE_BITS, PAGE_SIZE};
use cap::{Cap, insert_root};
use core::sync::atomic::Ordering;
use store::{SlotMemory, slot_at, write_boot_info};
use x86_machine::boot::{self, BootFacts, Range};
use x86_machine::{clock, cpu};

/// Largest block of a module: as the largest frame.
const FRAME_BITS: u8 = 30;
/// Largest untyped block.
const UNTYPED_BITS: u8 = 47;

/// Fill the CSpace and the boot information, and bind the thread to its spaces.
pub fn all(memory: Memory, root: &Root, cpus: usize) {
    let facts = boot::facts();
    own(root, cpus);
    bind(root);
    write_boot_info(root.info, |info| {
        info.magic = MAGIC;
        info.abi_version = abi::VERSION;
        info.virtualization = facts.virtualization as u32;
        info.cpu_count = cpus as u64;
        info.tsc_khz = clock::tsc_khz();
        info.timer_ratio = clock::timer_ratio();
        info.acpi_rsdp = facts.rsdp;
        info.start_page = boot::low_page().unwrap_or(0);
        for (index, id) in info.apic_ids.iter_mut().enumerate().take(cpus) {
            *id = state::of(index).apic_id.load(Ordering::Relaxed);
        }
        let line = facts.command_line.as_bytes();
        let length = line.len().min(MAX_COMMAND_LINE);
        info.command_line[..length].copy_from_slice(&line[..length]);
        info.command_line_len = length as u64;
        fill_seed(&mut info.seed);
        let mut next = slot::FIRST_OTHER;
        modules(root, facts, info, &mut next);
        untyped(root, &memory, info, &mut next);
        regions(facts, info);
        info.first_free_slot = next;
    });
}

fn give(root: &Root, index: u64, cap: Cap) {
    insert_root(&mut SlotMemory, slot_at(root.cnode, index), cap);
}

fn own(root: &Root, cpus: usize) {
    let whole = |kind, bits, object| Cap::new(kind, Rights::ALL, bits, object);
    give(root, slot::CNODE, whole(ObjectType::CNode, CNODE_BITS, root.cnode));
    give(root, slot::SPACE, whole(ObjectType::HostSpace, SPACE_BITS, root.space.address()));
    give(root, slot::THREAD, whole(ObjectType::Thread, PAGE_BITS, root.thread.address()));
    give(root, slot::IPC_BUFFER, whole(ObjectType::Frame, PAGE_BITS, root.buffer));
    give(root, slot::MACHINE, whole(ObjectType::Machine, 0, 0));
    give(root, slot::PORTS, Cap::ports(0, u16::MAX, Rights::ALL));
    for index in 0..cpus.min(MAX_CPUS) as u64 {
        give(root, slot::FIRST_CPU + index, whole(ObjectType::Cpu, 0, index));
    }
}

/// The root thread's bindings are not held in its slots: its objects are nobody's to take away.
fn bind(root: &Root) {
    let cnode = Cap::new(ObjectType::CNode, Rights::ALL, CNODE_BITS, root.cnode);
    root.thread.cnode.set(root.cnode);
    root.thread.cnode_slots.set(lookup::slots_of(&cnode));
    root.thread.space_root.set(root.space.address() + PAGE_SIZE);
    root.thread.buffer.set(root.buffer);
}

fn modules(root: &Root, facts: &BootFacts, info: &mut BootInfo, next: &mut u64) {
    for (index, module) in facts.modules.iter().enumerate().take(MAX_MODULES) {
        let mut name = [0; MAX_MODULE_NAME];
        let length = module.name.len().min(MAX_MODULE_NAME);
        name[..length].copy_from_slice(&module.name.as_bytes()[..length]);
        let first_slot = *next;
        let range = Range { base: module.base, size: module.size.next_multiple_of(PAGE_SIZE) };
        blocks(range, FRAME_BITS, |base, bits| {
            give(root, *next, Cap::new(ObjectType::Frame, Rights::ALL, bits, base));
            *next += 1;
        });
        let slots = *next - first_slot;
        info.modules[index] = ModuleInfo { name, base: module.base, size: module.size, first_slot, slots };
        info.module_count = index as u64 + 1;
    }
}

fn untyped(root: &Root, memory: &Memory, info: &mut BootInfo, next: &mut u64) {
    let mut count = 0;
    for &piece in memory.pieces() {
        blocks(piece, UNTYPED_BITS, |base, bits| {
            if count < MAX_UNTYPED {
                give(root, *next, Cap::new(ObjectType::Untyped, Rights::ALL, bits, base));
                info.untyped[count] = UntypedInfo { slot: *next, base, size_bits: u64::from(bits) };
                *next += 1;
                count += 1;
            }
        });
    }
    info.untyped_count = count as u64;
}

fn regions(facts: &BootFacts, info: &mut BootInfo) {
    let image = [facts.image];
    let all = (facts.available.iter().map(|range| (range, RegionKind::Untyped)))
        .chain(image.iter().map(|range| (range, RegionKind::Core)))
        .chain(facts.reserved.iter().map(|range| (range, RegionKind::Reserved)));
    let mut count = 0;
    for (range, kind) in all.take(MAX_REGIONS) {
        info.regions[count] = RegionInfo { base: range.base, size: range.size, kind: kind as u64 };
        count += 1;
    }
    for module in facts.modules.iter().take(MAX_REGIONS - count) {
        let kind = RegionKind::Module as u64;
        info.regions[count] = RegionInfo { base: module.base, size: module.size, kind };
        count += 1;
    }
    info.region_count = count as u64;
}

/// Random bytes where the processor has them; otherwise what timing gives, which is little.
fn fill_seed(seed: &mut [u8; 32]) {
    for chunk in seed.chunks_exact_mut(8) {
        let word = cpu::rdrand().unwrap_or_else(|| {
            cpu::rdtsc().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ cpu::rdtsc().rotate_left(32)
        });
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}
