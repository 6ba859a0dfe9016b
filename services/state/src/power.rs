// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power control: ACPI's sleep registers.

use crate::check::{Check, Violation, ensure};
use crate::record::record;

record! {
    /// Sleep registers of hardware-reduced ACPI.
    pub struct PowerControl {
        /// Sleep control, as last written.
        1 control: u8,
        /// Sleep status.
        2 status: u8,
    }
}

impl Check for PowerControl {
    fn check(&self) -> Result<(), Violation> {
        ensure("status", self.status & 0x7f == 0, "has bits that do not exist")
    }
}
