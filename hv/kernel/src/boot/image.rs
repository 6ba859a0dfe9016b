// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root service's image in its space.

use super::memory::Memory;
use crate::elf::{Image, Segment};
use crate::finalise::largest;
use abi::{PAGE_BITS, PAGE_SIZE};
use addr::{PhysAddr, VirtAddr};
use paging::{Block, HostTable, Perms};
use store::{HostSpace, Ref, Tables};
use x86_machine::boot::Module;

/// Most segments of the image.
const SEGMENTS: usize = 8;

/// Load the image; its entry is returned. `None` if the file does not add up or memory is short.
pub fn load(memory: &mut Memory, space: Ref<HostSpace>, module: &Module) -> Option<u64> {
    let image = Image::new(module.base, module.size)?;
    let mut segments = [None; SEGMENTS];
    for (index, segment) in image.segments().enumerate() {
        *segments.get_mut(index)? = Some(segment?);
    }
    for segment in segments.iter().flatten() {
        load_segment(memory, space, (module.base, segment), &segments)?;
    }
    Some(image.entry())
}

fn load_segment(
    memory: &mut Memory,
    space: Ref<HostSpace>,
    (file, segment): (u64, &Segment),
    all: &[Option<Segment>],
) -> Option<()> {
    let end = segment.address + segment.memory_bytes;
    let mut page = segment.address & !(PAGE_SIZE - 1);
    while page < end {
        let frame = frame_of(memory, space, page, all)?;
        fill(frame, page, file, segment);
        page += PAGE_SIZE;
    }
    Some(())
}

/// The frame behind a page; it is taken and mapped if it is the first time.
fn frame_of(memory: &mut Memory, space: Ref<HostSpace>, page: u64, all: &[Option<Segment>]) -> Option<u64> {
    let tables = Tables::of_host(space);
    let table = HostTable::new(tables.root(), largest());
    if let Some(mapping) = table.translate(&tables, VirtAddr::user(page)?) {
        return Some(mapping.pa.as_u64());
    }
    let shares = |segment: &&Segment| {
        segment.address < page + PAGE_SIZE && segment.address + segment.memory_bytes > page
    };
    let mut perms = Perms::READ;
    for segment in all.iter().flatten().filter(shares) {
        perms.write |= segment.write;
        perms.execute |= segment.execute;
    }
    let frame = memory.take(PAGE_BITS)?;
    map(space, page, (frame, PAGE_BITS), perms)?;
    Some(frame)
}

/// Copy the part of the file that belongs into a page.
fn fill(frame: u64, page: u64, file: u64, segment: &Segment) {
    let from = segment.address.max(page);
    let to = (segment.address + segment.file_bytes).min(page + PAGE_SIZE);
    let mut at = from;
    while at < to {
        let source = file + segment.offset + (at - segment.address);
        let count = (to - at).min(PAGE_SIZE - source % PAGE_SIZE);
        store::copy(source, frame + (at - page), count);
        at += count;
    }
}

/// Map a block of the root service's own memory.
pub fn map(space: Ref<HostSpace>, address: u64, (frame, bits): (u64, u8), perms: Perms) -> Option<()> {
    let mut tables = Tables::of_host(space);
    let table = HostTable::new(tables.root(), largest());
    let block = Block { address, frame: PhysAddr::new(frame)?, bits };
    table.map(&mut tables, block, perms).ok()
}
