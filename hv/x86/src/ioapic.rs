// SPDX-License-Identifier: MIT OR Apache-2.0
//! The I/O APICs: where device interrupts go.

/// Number of global system interrupts: they are 0 to this, exclusive.
#[must_use]
pub fn gsi_count() -> u32 {
    todo!()
}

/// Polarity and trigger of an ISA interrupt line, and its global system interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Global system interrupt.
    pub gsi: u32,
    /// Level-triggered.
    pub level: bool,
    /// Active low.
    pub low: bool,
}

/// Where the firmware wired ISA interrupt `irq` (0 to 15).
#[must_use]
pub fn isa_line(irq: u8) -> Line {
    let _ = irq;
    todo!()
}

/// Sends interrupt `gsi` as `vector` to the CPU with this APIC id; leaves it masked. False if there is no such interrupt.
pub fn route(gsi: u32, vector: u8, apic_id: u32, level: bool, low: bool) -> bool {
    let _ = (gsi, vector, apic_id, level, low);
    todo!()
}

/// Holds interrupt `gsi` back.
pub fn mask(gsi: u32) {
    let _ = gsi;
    todo!()
}

/// Lets interrupt `gsi` through.
pub fn unmask(gsi: u32) {
    let _ = gsi;
    todo!()
}
