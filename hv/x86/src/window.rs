// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical window: where the core sees the memory of its estate.

/// Virtual address of physical address 0. Only what [`crate::boot::BootFacts`] lists as available or as a module, and
/// the pages of the interrupt controllers, is there.
pub const PHYS_WINDOW: u64 = 0xffff_8000_0000_0000;
/// First physical address beyond the window.
pub const PHYS_LIMIT: u64 = 1 << 46;
/// Virtual address of the image.
pub const IMAGE_BASE: u64 = 0xffff_ffff_8000_0000;
/// End of the user half.
pub const USER_LIMIT: u64 = 0x0000_8000_0000_0000;

/// Where the core sees `physical`.
#[must_use]
pub const fn to_virt(physical: u64) -> u64 {
    PHYS_WINDOW.wrapping_add(physical)
}

/// The physical address that the core sees at `address` of the window.
#[must_use]
pub const fn to_phys(address: u64) -> u64 {
    address.wrapping_sub(PHYS_WINDOW)
}
