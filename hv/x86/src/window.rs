// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical window: where the core sees the memory of its estate, and how memory comes to it
//! and leaves.

use crate::boot::{image, tables};
use crate::cpu;
use firmware::memory::Range;

/// Virtual address of physical address 0. Only what [`crate::boot::BootFacts`] lists as available
/// or as a module, and the pages of the interrupt controllers, is there.
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

/// Why memory cannot come into the window or leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such memory, or it is further up than anything that was known at boot.
    OutOfRange,
    /// Some of it is in use by this core.
    Owned,
    /// The tables of the core are used up.
    TablesExhausted,
}

/// Memory has left the window: every CPU may still hold translations of it, until each has executed
/// [`crate::space::flush_global`]. To be spent where that is seen to (invariant I11).
#[must_use]
#[derive(Debug)]
pub struct WindowFlush(());

impl WindowFlush {
    /// Spends it: `flush` makes sure of every CPU.
    pub fn spend(self, flush: impl FnOnce()) {
        flush();
    }
}

/// A piece of memory that can change, checked: naturally aligned, 1 GiB at most.
#[derive(Clone, Copy, Debug)]
pub struct Piece(Range);

impl Piece {
    /// A piece that may leave. That it is this core's, the caller knows from a capability.
    ///
    /// # Errors
    /// `TablesExhausted`.
    pub fn leaving(base: u64, bytes: u64) -> Result<Self, Refused> {
        if !tables::can_change() {
            return Err(Refused::TablesExhausted);
        }
        Ok(Self(Range { base, size: bytes }))
    }

    /// A piece that may come.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn coming(base: u64, bytes: u64) -> Result<Self, Refused> {
        let range = Range { base, size: bytes };
        let limit = PHYS_LIMIT.min(1 << cpu::features().physical_bits);
        if base == 0 || range.end() > limit || !tables::has_root_entry(base) {
            return Err(Refused::OutOfRange);
        }
        let own = image::range().pages_touched();
        let in_image = base < own.end() && own.base < range.end();
        if in_image || tables::is_mapped(range) {
            return Err(Refused::Owned);
        }
        if !tables::can_change() {
            return Err(Refused::TablesExhausted);
        }
        Ok(Self(range))
    }

    /// Takes it out.
    pub fn unmap(self) -> WindowFlush {
        tables::unmap_memory(self.0);
        WindowFlush(())
    }

    /// Brings it in.
    ///
    /// # Errors
    /// `TablesExhausted`, which [`Self::coming`] has excluded.
    pub fn map(self) -> Result<(), Refused> {
        tables::map_memory(self.0).map_err(|_| Refused::TablesExhausted)
    }
}
