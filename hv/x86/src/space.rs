// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which page tables a CPU uses, and what its TLB holds.

/// First entry of a PML4 that belongs to the core.
pub const FIRST_KERNEL_ENTRY: usize = 256;

/// Loads CR3 with `root` (a physical address) unless it is loaded already.
pub fn activate(root: u64) {
    let _ = root;
    todo!()
}

/// The root table that this CPU has loaded.
#[must_use]
pub fn active() -> u64 {
    todo!()
}

/// The root table of the core alone, with nothing in the user half.
#[must_use]
pub fn kernel_root() -> u64 {
    todo!()
}

/// Entry `index` (256 to 511) of every PML4; 0 for an index in the user half.
#[must_use]
pub fn kernel_entry(index: usize) -> u64 {
    let _ = index;
    todo!()
}

/// Forgets the translation of one page, on this CPU.
pub fn flush_page(address: u64) {
    let _ = address;
    todo!()
}

/// Forgets all translations of the user half, on this CPU.
pub fn flush_all() {
    todo!()
}
