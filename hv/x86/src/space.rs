// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which page tables a CPU uses, and what its TLB holds.
//!
//! A root table is used after its upper half has been filled with [`kernel_entry`]; the core's own
//! mappings are global and the same in all of them.

use crate::boot::tables;
use crate::percpu;
use core::arch::asm;
use core::sync::atomic::Ordering;

/// First entry of a PML4 that belongs to the core.
pub const FIRST_KERNEL_ENTRY: usize = 256;

/// Loads CR3 with `root` (a physical address) unless it is loaded already.
pub fn activate(root: u64) {
    let loaded = &percpu::this().root;
    if loaded.load(Ordering::Relaxed) != root {
        loaded.store(root, Ordering::Relaxed);
        load(root);
    }
}

fn load(root: u64) {
    // SAFETY: by the convention in the header the core looks the same in every root table.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// The root table that this CPU has loaded.
#[must_use]
pub fn active() -> u64 {
    percpu::this().root.load(Ordering::Relaxed)
}

/// The root table of the core alone, with nothing in the user half.
#[must_use]
pub fn kernel_root() -> u64 {
    tables::root()
}

/// Entry `index` (256 to 511) of every PML4; 0 for an index in the user half.
#[must_use]
pub fn kernel_entry(index: usize) -> u64 {
    if index < FIRST_KERNEL_ENTRY { 0 } else { tables::root_entry(index) }
}

/// Forgets the translation of one page, on this CPU.
pub fn flush_page(address: u64) {
    // SAFETY: forgetting a translation is always sound.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Forgets all translations, those of the core itself as well, on this CPU.
pub fn flush_global() {
    // SAFETY: changing CR4.PGE forgets everything (SDM vol. 3A, 5.10.4.1; APM vol. 2, 5.5.2); it is
    // as before afterwards.
    unsafe {
        asm!("mov {0}, cr4", "mov {1}, {0}", "and {1}, {mask}", "mov cr4, {1}", "mov cr4, {0}",
             out(reg) _, out(reg) _, mask = const !(1_i32 << 7), options(nostack));
    }
}

/// Forgets all translations of the user half, on this CPU.
pub fn flush_all() {
    load(active());
}
