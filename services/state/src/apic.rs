// SPDX-License-Identifier: MIT OR Apache-2.0
//! A local APIC with its timer.

use crate::check::{Check, Violation, ensure};
use crate::record::record;

record! {
    /// A local APIC. Registers as in SDM vol. 3A, chapter 12.
    pub struct LocalApic {
        /// APIC id.
        1 id: u32,
        /// `IA32_APIC_BASE`, with its enable bits.
        2 base: u64,
        /// Task priority.
        3 task_priority: u8,
        /// Logical destination.
        4 logical_destination: u32,
        /// Destination format.
        5 destination_format: u32,
        /// Spurious-interrupt vector.
        6 spurious: u32,
        /// Vectors in service.
        7 in_service: [u32; 8],
        /// Which requested vectors are level-triggered.
        8 trigger_mode: [u32; 8],
        /// Vectors requested.
        9 requested: [u32; 8],
        /// Error status, as it reads.
        10 error_status: u32,
        /// Errors since the last write to the error status.
        11 pending_errors: u32,
        /// Interrupt command.
        12 command: u64,
        /// LVT corrected machine check.
        13 lvt_cmci: u32,
        /// LVT timer.
        14 lvt_timer: u32,
        /// LVT thermal sensor.
        15 lvt_thermal: u32,
        /// LVT performance counters.
        16 lvt_performance: u32,
        /// LVT LINT0.
        17 lvt_lint0: u32,
        /// LVT LINT1.
        18 lvt_lint1: u32,
        /// LVT error.
        19 lvt_error: u32,
        /// Timer: divide configuration.
        20 timer_divide: u32,
        /// Timer: initial count.
        21 timer_initial: u32,
        /// Timer: guest TSC at which the count was the initial one.
        22 timer_start: u64,
        /// Timer: guest TSC at which it fires next, 0 for never.
        23 timer_deadline: u64,
        /// Whether an NMI waits.
        24 nmi_pending: bool,
    }
}

const ENABLED: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const BASE_BITS: u64 = ((1 << 52) - 1) & !0xfff | ENABLED | X2APIC | 1 << 8;

impl Check for LocalApic {
    fn check(&self) -> Result<(), Violation> {
        ensure("base", self.base & !BASE_BITS == 0, "has bits that do not exist")?;
        ensure("base", self.base & X2APIC == 0 || self.base & ENABLED != 0, "x2APIC needs the APIC enabled")?;
        ensure("spurious", self.spurious & !0x13ff == 0, "has bits that do not exist")?;
        let sets = [
            ("in_service", &self.in_service),
            ("trigger_mode", &self.trigger_mode),
            ("requested", &self.requested),
        ];
        for (name, set) in sets {
            ensure(name, set[0] & 0xffff == 0, "vectors below 16 cannot be raised")?;
        }
        ensure("error_status", self.error_status & !0xff == 0, "has bits that do not exist")?;
        ensure("pending_errors", self.pending_errors & !0xff == 0, "has bits that do not exist")?;
        let table = [
            ("lvt_cmci", self.lvt_cmci),
            ("lvt_timer", self.lvt_timer),
            ("lvt_thermal", self.lvt_thermal),
            ("lvt_performance", self.lvt_performance),
            ("lvt_lint0", self.lvt_lint0),
            ("lvt_lint1", self.lvt_lint1),
            ("lvt_error", self.lvt_error),
        ];
        for (name, entry) in table {
            ensure(name, entry & !0x7_ffff == 0, "has bits that do not exist")?;
        }
        ensure("lvt_timer", self.lvt_timer >> 17 & 3 != 3, "has a reserved timer mode")?;
        ensure("timer_divide", self.timer_divide & !0xb == 0, "has bits that do not exist")
    }
}
