// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plain memory by physical address: words, copies, clearing.
//!
//! Frames, table pages and IPC buffers may be read and written by user code or by the page walker
//! of a CPU at any moment. So they are accessed word by word as atomics, or as raw bytes that
//! nothing is inferred from.

use abi::PAGE_SIZE;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_machine::window;

fn word(page: u64, index: usize) -> &'static AtomicU64 {
    debug_assert!(page & 7 == 0);
    // SAFETY: the physical window maps the whole estate (claim 5), `page` is the address of a table
    // page or frame of it, the index is cut to a page, and an atomic word may be shared with
    // anyone.
    unsafe { &*((window::to_virt(page) as *const AtomicU64).add(index & 511)) }
}

/// A word of a page.
#[must_use]
pub fn read_word(page: u64, index: usize) -> u64 {
    word(page, index).load(Ordering::Relaxed)
}

/// Set a word of a page.
pub fn write_word(page: u64, index: usize, value: u64) {
    word(page, index).store(value, Ordering::Release);
}

/// Copy `count` words from word `first` on between two pages (both ends within the pages).
pub fn copy_words(from: u64, to: u64, first: usize, count: usize) {
    for index in first..first.saturating_add(count).min(512) {
        write_word(to, index, read_word(from, index));
    }
}

/// Copy `count` bytes, cut so that neither side leaves its page.
pub fn copy(from: u64, to: u64, count: u64) {
    let count = count.min(PAGE_SIZE - from % PAGE_SIZE).min(PAGE_SIZE - to % PAGE_SIZE);
    // SAFETY: both ranges lie within one mapped page each (claim 5; cut above). Nothing is inferred
    // from the bytes. The ranges may be one and the same memory if a frame is copied onto itself,
    // hence `copy` and not `copy_nonoverlapping`.
    unsafe {
        core::ptr::copy(window::to_virt(from) as *const u8, window::to_virt(to) as *mut u8, count as usize);
    }
}

/// Clear memory. The range must belong to the estate and hold nothing that is in use.
pub fn clear(start: u64, bytes: u64) {
    // SAFETY: the callers are retype (free untyped memory), boot (memory given to nobody yet) and
    // the pool of a space (a table that was just unlinked): mapped, and nobody's.
    unsafe { core::ptr::write_bytes(window::to_virt(start) as *mut u8, 0, bytes as usize) };
}

/// Put the boot information at an address in memory that the core has just taken for it.
pub fn write_boot_info(to: u64, write: impl FnOnce(&mut abi::boot::BootInfo)) {
    // SAFETY: boot takes three whole zeroed pages for this before any other CPU or user code knows
    // of them; all zero is a valid `BootInfo`, which is made of plain numbers.
    write(unsafe { &mut *(window::to_virt(to) as *mut abi::boot::BootInfo) });
}
