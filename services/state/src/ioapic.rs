// SPDX-License-Identifier: MIT OR Apache-2.0
//! An I/O APIC.

use crate::check::{Check, Violation, ensure};
use crate::record::record;

/// Lines of the I/O APIC.
pub const IOAPIC_LINES: usize = 24;

record! {
    /// An I/O APIC of 24 lines (82093AA).
    pub struct IoApic {
        /// Identification.
        1 id: u8,
        /// Register selected.
        2 select: u8,
        /// Redirection table.
        3 entries: [u64; IOAPIC_LINES],
        /// Level of each input, a bit per line.
        4 levels: u32,
    }
}

/// Bits of an entry: vector, modes, polarity, remote IRR, trigger, mask, destination.
const ENTRY: u64 = 0xff00_0000_0001_ffff;
const LEVEL_TRIGGERED: u64 = 1 << 15;
const REMOTE_IRR: u64 = 1 << 14;

impl Check for IoApic {
    fn check(&self) -> Result<(), Violation> {
        ensure("id", self.id <= 15, "has more than 4 bits")?;
        ensure("levels", self.levels >> IOAPIC_LINES == 0, "has more lines than there are")?;
        for (line, entry) in self.entries.iter().enumerate() {
            let rule = if entry & !ENTRY != 0 {
                "has bits that do not exist"
            } else if entry & REMOTE_IRR != 0 && entry & LEVEL_TRIGGERED == 0 {
                "an edge-triggered line waits for no end of interrupt"
            } else {
                continue;
            };
            return Err(Violation::item("entries", line, rule));
        }
        Ok(())
    }
}
