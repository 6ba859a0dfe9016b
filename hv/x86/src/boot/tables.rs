// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page tables of the core itself: its image and the physical window, the same for all CPUs.
//!
//! Built at boot; later, pieces of the window come and go with the memory of the estate
//! ([`crate::window`]). Tables stay where they are once made.

use super::image;
use crate::cpu;
use crate::percpu;
use crate::println;
use crate::window;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use firmware::memory::{PAGE, Range};

pub(crate) const PRESENT: u64 = 1;
pub(crate) const WRITABLE: u64 = 1 << 1;
/// Strong uncacheable, with the memory types as this crate sets them.
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const ENTRIES: usize = 512;
/// Tables in the pool: one per GiB of memory, and at most two per range of memory whose ends are
/// not aligned.
const POOL: usize = 192;
const LARGEST: u32 = 2;

#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

static TABLES: [Table; POOL] = [const { Table([const { AtomicU64::new(0) }; ENTRIES]) }; POOL];
/// Table 0 is the root.
static USED: AtomicUsize = AtomicUsize::new(1);

/// The core has more memory to map than tables to do it with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolExhausted;

/// Physical address of the root table.
pub(crate) fn root() -> u64 {
    image::physical((&raw const TABLES) as u64)
}

/// Entry of the root table.
pub(crate) fn root_entry(index: usize) -> u64 {
    TABLES[0].0.get(index).map_or(0, |entry| entry.load(Ordering::Relaxed))
}

/// The table behind an entry, made if it is not there.
fn below(entry: &AtomicU64) -> Result<&'static Table, PoolExhausted> {
    let value = entry.load(Ordering::Relaxed);
    if value & PRESENT != 0 {
        let index = ((value & ADDRESS) - root()) / PAGE;
        return TABLES.get(index as usize).ok_or(PoolExhausted);
    }
    let index = USED.fetch_add(1, Ordering::Relaxed);
    let table = TABLES.get(index).ok_or(PoolExhausted)?;
    entry.store((root() + index as u64 * PAGE) | WRITABLE | PRESENT, Ordering::Relaxed);
    Ok(table)
}

/// log2 of the bytes that one entry of `level` (0 = page) maps.
const fn shift(level: u32) -> u32 {
    12 + 9 * level
}

fn map_one(address: u64, physical: u64, level: u32, flags: u64) -> Result<(), PoolExhausted> {
    let slot = |level: u32| (address >> shift(level)) as usize % ENTRIES;
    let mut table = &TABLES[0];
    for above in (level + 1..=3).rev() {
        table = below(&table.0[slot(above)])?;
    }
    let large = if level > 0 { LARGE } else { 0 };
    table.0[slot(level)].store(physical | flags | large | GLOBAL | PRESENT, Ordering::Relaxed);
    Ok(())
}

/// The entry that decides about an address: the first that is not a table, from the root down.
fn deciding(address: u64) -> (&'static AtomicU64, u32) {
    let mut table = &TABLES[0];
    let mut level = 3;
    loop {
        let entry = &table.0[(address >> shift(level)) as usize % ENTRIES];
        let value = entry.load(Ordering::Relaxed);
        let is_table = level > 0 && value & (PRESENT | LARGE) == PRESENT;
        match TABLES.get(((value & ADDRESS).wrapping_sub(root()) / PAGE) as usize).filter(|_| is_table) {
            Some(below) => table = below,
            None => return (entry, level),
        }
        level -= 1;
    }
}

/// Whether any of a naturally aligned piece of memory is in the window.
pub(crate) fn is_mapped(range: Range) -> bool {
    let mut physical = range.base;
    while physical < range.end() {
        let (entry, level) = deciding(window::to_virt(physical));
        if entry.load(Ordering::Relaxed) & PRESENT != 0 {
            return true;
        }
        physical = (physical & !((1 << shift(level)) - 1)) + (1 << shift(level));
    }
    false
}

/// Whether the window has a root entry for an address: only then does every space of this core see
/// what is mapped there.
pub(crate) fn has_root_entry(physical: u64) -> bool {
    root_entry((window::to_virt(physical) >> shift(3)) as usize % ENTRIES) & PRESENT != 0
}

/// Whether there are tables enough to map or unmap one naturally aligned piece.
pub(crate) fn can_change() -> bool {
    USED.load(Ordering::Relaxed) + LARGEST as usize <= POOL
}

/// Takes a naturally aligned piece of memory, all of it mapped, out of the window. The caller sees
/// to what CPUs may still hold, and has asked [`can_change`].
pub(crate) fn unmap_memory(range: Range) {
    let mut physical = range.base;
    while physical < range.end() {
        let (entry, level) = deciding(window::to_virt(physical));
        let bytes = 1_u64 << shift(level);
        let value = entry.load(Ordering::Relaxed);
        if value & PRESENT != 0 && level > 0 && bytes > range.size {
            split(entry, value, level);
            continue;
        }
        entry.store(0, Ordering::Relaxed);
        physical += bytes;
    }
}

/// Puts a table of the next smaller pages in the place of a large page; what is mapped stays the
/// same.
fn split(entry: &AtomicU64, value: u64, level: u32) {
    let index = USED.fetch_add(1, Ordering::Relaxed);
    let Some(table) = TABLES.get(index) else { return entry.store(0, Ordering::Relaxed) };
    let kind = if level == 1 { value & !LARGE } else { value };
    for (part, below) in (0..).zip(&table.0) {
        below.store(kind + (part << shift(level - 1)), Ordering::Relaxed);
    }
    entry.store((root() + index as u64 * PAGE) | WRITABLE | PRESENT, Ordering::Release);
}

/// Maps whole pages, with the largest that fit up to `largest` and that no table is in the way of.
fn map(mut address: u64, range: Range, flags: u64, largest: u32) -> Result<(), PoolExhausted> {
    let mut physical = range.base;
    while physical < range.end() {
        let fits = |level: &u32| {
            let bytes = 1_u64 << shift(*level);
            (address | physical) & (bytes - 1) == 0
                && range.end() - physical >= bytes
                && deciding(address).1 >= *level
        };
        let level = (1..=largest).rev().find(fits).unwrap_or(0);
        map_one(address, physical, level, flags)?;
        address += 1 << shift(level);
        physical += 1 << shift(level);
    }
    Ok(())
}

/// Maps memory of the estate in the window.
pub(crate) fn map_memory(range: Range) -> Result<(), PoolExhausted> {
    let largest = if cpu::features().pages_1g { LARGEST } else { LARGEST - 1 };
    map(window::to_virt(range.base), range, WRITABLE | NO_EXECUTE, largest)
}

/// Maps a page of device registers in the window.
pub(crate) fn map_device(physical: u64) -> Result<(), PoolExhausted> {
    let range = Range { base: physical & !(PAGE - 1), size: PAGE };
    map(window::to_virt(range.base), range, WRITABLE | UNCACHED | NO_EXECUTE, 0)
}

/// Maps the image: code, constants and data each with what it needs; nothing below the stacks.
pub(crate) fn map_image() -> Result<(), PoolExhausted> {
    let [start, text_end, rodata_end, end] = image::sections();
    let parts =
        [(start, text_end, 0), (text_end, rodata_end, NO_EXECUTE), (rodata_end, end, WRITABLE | NO_EXECUTE)];
    for (from, to, flags) in parts {
        for address in (from..to).step_by(PAGE as usize) {
            if !percpu::is_guard(address) {
                map_one(address, image::physical(address), 0, flags)?;
            }
        }
    }
    Ok(())
}

/// Says how the pool did.
pub(crate) fn report(result: Result<(), PoolExhausted>) {
    if result.is_err() {
        println!("core: the memory map is too fragmented for the {POOL} page tables of the core");
        crate::trap::stop();
    }
}
