// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks: the CMOS clock and the paravirtual one.

use alloc::format;
use alloc::vec::Vec;

use crate::check::{Check, Violation, ensure};
use crate::record::{Bytes, record};

record! {
    /// A CMOS clock with its memory (MC146818).
    pub struct Rtc {
        /// Register selected.
        1 index: u8,
        /// Memory, 128 bytes, status registers included; time and date registers are computed.
        2 memory: Bytes,
        /// Seconds since 1970 that the clock showed at guest TSC [`Rtc::tsc`].
        3 seconds: u64,
        /// Guest TSC at which it showed them.
        4 tsc: u64,
    }
}

impl Check for Rtc {
    fn check(&self) -> Result<(), Violation> {
        ensure("index", self.index < 128, "selects no register")?;
        ensure("memory", matches!(self.memory.0.len(), 0 | 128), "is not 128 bytes")
    }
}

record! {
    /// Where a further vCPU has its time page.
    pub struct ClockPage {
        /// MSR that says where it is; bit 0 enables it.
        1 system_time: u64,
        /// Version of the page, an even number.
        2 version: u32,
    }
}

record! {
    /// The paravirtual clock.
    pub struct PvClock {
        /// MSR that says where the time page of the first vCPU is; bit 0 enables it.
        1 system_time: u64,
        /// MSR that says where the wall clock is.
        2 wall_clock: u64,
        /// Nanoseconds that the clock showed at guest TSC [`PvClock::tsc`].
        3 nanoseconds: u64,
        /// Guest TSC at which it showed them.
        4 tsc: u64,
        /// Seconds since 1970 when the clock was zero.
        5 epoch_seconds: u64,
        /// Version of the time page, an even number.
        6 version: u32,
        /// Time pages of the vCPUs after the first, in their order. One that is left out has none.
        7 pages: Vec<ClockPage>,
        /// Version of the wall clock, an even number.
        8 wall_version: u32,
    }
}

impl Check for ClockPage {
    fn check(&self) -> Result<(), Violation> {
        ensure("system_time", self.system_time >> 52 == 0, "is no address")?;
        ensure("system_time", self.system_time & 2 == 0, "is not aligned")?;
        ensure("version", self.version & 1 == 0, "is odd: an update was cut short")
    }
}

impl Check for PvClock {
    fn check(&self) -> Result<(), Violation> {
        ensure("system_time", self.system_time >> 52 == 0, "is no address")?;
        ensure("system_time", self.system_time & 2 == 0, "is not aligned")?;
        ensure(
            "wall_clock",
            self.wall_clock >> 52 == 0 && self.wall_clock & 3 == 0,
            "is no aligned address",
        )?;
        ensure("version", self.version & 1 == 0, "is odd: an update was cut short")?;
        ensure("wall_version", self.wall_version & 1 == 0, "is odd: an update was cut short")?;
        for (index, page) in self.pages.iter().enumerate() {
            page.check().map_err(|violation| violation.within(&format!("pages.{index}")))?;
        }
        Ok(())
    }
}
