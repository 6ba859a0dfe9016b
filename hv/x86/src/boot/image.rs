// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the image is, in both senses.

use core::sync::atomic::{AtomicU64, Ordering};
use firmware::memory::Range;

/// Physical address of the image, as the entry found it.
static BASE: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static understudy_image: u8;
    static understudy_text_end: u8;
    static understudy_rodata_end: u8;
    static understudy_image_end: u8;
    static understudy_early_tables: u8;
}

pub(super) fn set_base(physical: u64) {
    BASE.store(physical, Ordering::Relaxed);
}

/// Virtual addresses: start, end of code, end of constants, end.
pub(super) fn sections() -> [u64; 4] {
    [
        (&raw const understudy_image) as u64,
        (&raw const understudy_text_end) as u64,
        (&raw const understudy_rodata_end) as u64,
        (&raw const understudy_image_end) as u64,
    ]
}

/// Physical address of what lies at `address` in the image.
pub(crate) fn physical(address: u64) -> u64 {
    address - (&raw const understudy_image) as u64 + BASE.load(Ordering::Relaxed)
}

/// Physical address of the tables of the entry: below 4 GiB, with the first 4 GiB mapped one to
/// one.
pub(crate) fn early_root() -> u64 {
    physical((&raw const understudy_early_tables) as u64)
}

/// Makes the tables of the entry usable again, for a CPU that comes or leaves: the first two
/// entries that count are set as at the entry.
pub(crate) fn revive_early_tables() {
    const PRESENT_WRITABLE: u64 = 3;
    let root = early_root();
    // SAFETY: the first page of the tables is the root; its entries are atomics. No CPU has it
    // loaded but one that comes or leaves, for which they are set.
    let entries = unsafe { &*(&raw const understudy_early_tables).cast::<[AtomicU64; 512]>() };
    entries[0].store(root + 0x1000 + PRESENT_WRITABLE, Ordering::Relaxed);
    entries[511].store(root + 0x2000 + PRESENT_WRITABLE, Ordering::Relaxed);
}

/// Empties the tables of the entry, so that nothing can come through them any more.
pub(crate) fn forget_early_tables() {
    const ENTRIES: usize = 512;
    // SAFETY: the first page of the tables is the root; nobody has it loaded once all CPUs are up.
    let root = unsafe { &*(&raw const understudy_early_tables).cast::<[AtomicU64; ENTRIES]>() };
    root.iter().for_each(|entry| entry.store(0, Ordering::Relaxed));
}

/// The physical memory of the image.
pub(crate) fn range() -> Range {
    let [start, .., end] = sections();
    Range { base: physical(start), size: end - start }
}
