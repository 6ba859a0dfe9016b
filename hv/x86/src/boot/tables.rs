// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page tables of the core itself: its image and the physical window. Built once, the same for all CPUs.

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
/// Tables in the pool: one per GiB of memory, and at most two per range of memory whose ends are not aligned.
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

/// Maps whole pages, with the largest that fit up to `largest`.
fn map(mut address: u64, range: Range, flags: u64, largest: u32) -> Result<(), PoolExhausted> {
    let mut physical = range.base;
    while physical < range.end() {
        let fits = |level: &u32| {
            let bytes = 1_u64 << shift(*level);
            (address | physical) & (bytes - 1) == 0 && range.end() - physical >= bytes
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
