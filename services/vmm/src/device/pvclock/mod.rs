// SPDX-License-Identifier: MIT OR Apache-2.0
//! The paravirtual clock of KVM.
//!
//! Owns where each vCPU wants its clock page, and the form in which the page tells the machine's
//! [`Clock`]: system time in nanoseconds as a linear function of TSC ticks. One function serves all
//! vCPUs, so the clock is stable. The device is reached by MSRs ([`crate::platform::msr`]). Guest
//! memory is not touched here: what is to be written comes out as [`Write`]. Follows Linux,
//! Documentation/virt/kvm/x86/{msr,cpuid}.rst.

use crate::device::contract::{Device, Settings, Write};
use crate::device::time::{Clock, Rate, SECOND as NANOSECONDS};
use alloc::vec::Vec;
use state::{ClockPage, Unknown};

/// Bits of the features leaf that this clock backs.
pub mod feature {
    /// Delays after port accesses are not needed.
    pub const NO_IO_DELAY: u32 = 1 << 1;
    /// The clock at the MSRs [`super::SYSTEM_TIME`] and [`super::WALL_CLOCK`].
    pub const CLOCK_2: u32 = 1 << 3;
    /// The clock is the same on all vCPUs.
    pub const STABLE: u32 = 1 << 24;
}

/// MSR: where to write the wall clock.
pub const WALL_CLOCK: u32 = 0x4b56_4d00;
/// MSR: where to keep the system time; bit 0 enables.
pub const SYSTEM_TIME: u32 = 0x4b56_4d01;
/// [`WALL_CLOCK`] as older guests know it.
pub const OLD_WALL_CLOCK: u32 = 0x11;
/// [`SYSTEM_TIME`] as older guests know it.
pub const OLD_SYSTEM_TIME: u32 = 0x12;

const ENABLED: u64 = 1;
/// Flag in the page: the clock is stable.
const FLAG_STABLE: u8 = 1;
const TIME_BYTES: usize = 32;
const WALL_BYTES: usize = 12;

/// The clock pages of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvClock {
    /// Bytes of guest memory.
    memory: u64,
    /// Value of the wall clock MSR.
    wall_address: u64,
    wall_version: u32,
    /// By vCPU.
    pages: Vec<Page>,
}

/// The clock page of a vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    /// Value of the system time MSR.
    system_time: u64,
    /// Version last written, an even number.
    version: u32,
}

impl Device for PvClock {
    fn new(settings: &Settings) -> Self {
        let pages = alloc::vec![Page::default(); settings.processors as usize];
        Self { memory: settings.memory, wall_address: 0, wall_version: 0, pages }
    }

    fn save(&self, machine: &mut state::Machine, _: u64, clock: &Clock) {
        // The size of memory is the machine's.
        let Self { memory: _, wall_address, wall_version, pages: from } = self;
        let page = |&Page { system_time, version }: &Page| ClockPage {
            system_time,
            version,
            unknown: Unknown::default(),
        };
        let Page { system_time, version } = from.first().copied().unwrap_or_default();
        let mut pages = core::mem::take(&mut machine.clock.pages);
        pages.clear();
        pages.extend(from.iter().skip(1).map(page));
        machine.clock = state::PvClock {
            system_time,
            wall_clock: *wall_address,
            nanoseconds: clock.base().nanoseconds,
            tsc: clock.base().tsc,
            epoch_seconds: clock.wall_base() / NANOSECONDS,
            version,
            pages,
            wall_version: *wall_version,
            unknown: Unknown::default(),
        };
    }

    fn load(&mut self, machine: &state::Machine, _: &Clock) {
        let state::PvClock {
            system_time,
            wall_clock,
            // The line through time is the machine's clock, which is loaded before.
            nanoseconds: _,
            tsc: _,
            epoch_seconds: _,
            version,
            pages,
            wall_version,
            unknown: _,
        } = &machine.clock;
        (self.wall_address, self.wall_version) = (kept(*wall_clock, 0), wall_version & !1);
        let others = pages.iter().map(|page| (page.system_time, page.version));
        let saved = core::iter::once((*system_time, *version)).chain(others);
        for (page, (system_time, version)) in self.pages.iter_mut().zip(saved) {
            *page = Page { system_time: kept(system_time, ENABLED), version: version & !1 };
        }
    }
}

impl PvClock {
    /// Reads an MSR of the clock; `None` if it is none.
    #[must_use]
    pub fn read_msr(&self, cpu: usize, msr: u32) -> Option<u64> {
        match msr {
            WALL_CLOCK | OLD_WALL_CLOCK => Some(self.wall_address),
            SYSTEM_TIME | OLD_SYSTEM_TIME => self.pages.get(cpu).map(|page| page.system_time),
            _ => None,
        }
    }

    /// Writes an MSR of the clock; `None` if it is none. The guest counts on finding its page
    /// filled at once. An aligned address outside its memory is remembered and gets nothing; one
    /// that is not aligned reads as 0 afterwards.
    pub fn write_msr(
        &mut self,
        (cpu, msr, value): (usize, u32, u64),
        clock: &Clock,
        tsc: u64,
    ) -> Option<Option<Write>> {
        match msr {
            WALL_CLOCK | OLD_WALL_CLOCK => {
                self.wall_address = kept(value, 0);
                Some(self.wall_page(clock))
            }
            SYSTEM_TIME | OLD_SYSTEM_TIME => {
                self.pages.get_mut(cpu)?.system_time = kept(value, ENABLED);
                Some(self.refresh(cpu, clock, tsc))
            }
            _ => None,
        }
    }

    /// Returns the page of a vCPU as of now; `None` where the guest wants none.
    pub fn refresh(&mut self, cpu: usize, clock: &Clock, tsc: u64) -> Option<Write> {
        let system_time = clock.system_time(tsc);
        let (multiplier, shift) = scale(clock.rate());
        let Page { system_time: value, version } = self.pages.get_mut(cpu)?;
        let address = *value & !ENABLED;
        if *value & ENABLED == 0 || !fits(address, TIME_BYTES, self.memory) {
            return None;
        }
        *version = version.wrapping_add(2);
        let mut bytes = Vec::with_capacity(TIME_BYTES);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&tsc.to_le_bytes());
        bytes.extend_from_slice(&system_time.to_le_bytes());
        bytes.extend_from_slice(&multiplier.to_le_bytes());
        bytes.extend_from_slice(&[shift as u8, FLAG_STABLE, 0, 0]);
        Some(Write { address, bytes })
    }

    fn wall_page(&mut self, clock: &Clock) -> Option<Write> {
        if self.wall_address == 0 || !fits(self.wall_address, WALL_BYTES, self.memory) {
            return None;
        }
        self.wall_version = self.wall_version.wrapping_add(2);
        let seconds = (clock.wall_base() / NANOSECONDS) as u32;
        let nanoseconds = (clock.wall_base() % NANOSECONDS) as u32;
        let words = [self.wall_version, seconds, nanoseconds];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Some(Write { address: self.wall_address, bytes })
    }
}

/// The factor of the page: nanoseconds = (ticks << shift) * multiplier >> 32, with the multiplier
/// in its upper half.
fn scale(rate: Rate) -> (u32, i8) {
    let (mut nanoseconds, mut ticks) = (1_000_000_u64, rate.khz());
    let mut shift = 0;
    while nanoseconds >= ticks {
        ticks <<= 1;
        shift += 1;
    }
    while nanoseconds * 2 < ticks {
        nanoseconds <<= 1;
        shift -= 1;
    }
    (((nanoseconds << 32) / ticks) as u32, shift)
}

/// Returns the value that an MSR keeps: an aligned address of at most 52 bits with these flags; 0
/// for any other, which no record of a machine could hold.
fn kept(value: u64, flags: u64) -> u64 {
    let address = value & !flags;
    if address.is_multiple_of(4) && address >> 52 == 0 { value } else { 0 }
}

fn fits(address: u64, bytes: usize, memory: u64) -> bool {
    address.is_multiple_of(4) && address.checked_add(bytes as u64).is_some_and(|end| end <= memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRACTION: u64 = 500_000_000;

    /// A clock, and the device of a guest with a MiB of memory.
    fn clock(khz: u64) -> (Clock, PvClock) {
        let wall_base = 1_795_353_255_500_000_000;
        let settings = Settings { processors: 1, tsc_khz: khz, wall_base, memory: 1 << 20 };
        (Clock::new(khz, wall_base), PvClock::new(&settings))
    }

    /// What the guest makes of its page.
    fn read(page: &[u8], tsc: u64) -> u64 {
        let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
        let multiplier = u32::from_le_bytes(page[24..28].try_into().unwrap());
        let delta = u128::from(tsc - word(8));
        let shift = page[28] as i8;
        let delta = if shift < 0 { delta >> -shift } else { delta << shift };
        word(16) + ((delta * u128::from(multiplier)) >> 32) as u64
    }

    #[test]
    fn the_guest_computes_nanoseconds_from_its_page() {
        for khz in [1_000, 999_999, 1_000_000, 2_596_150, 5_000_000] {
            let (time, mut clock) = clock(khz);
            let write = clock.write_msr((0, SYSTEM_TIME, 0x1041), &time, khz * 1000).unwrap().unwrap();
            assert_eq!((write.address, write.bytes.len()), (0x1040, 32));
            assert_eq!(read(&write.bytes, khz * 1000), NANOSECONDS + FRACTION);
            let hour = read(&write.bytes, khz * 1000 * 3601);
            assert!(hour.abs_diff(3601 * NANOSECONDS + FRACTION) < 2000, "{khz}: {hour}");
        }
    }

    #[test]
    fn linux_recovers_the_frequency_from_the_page() {
        for khz in [1_000_000, 2_596_150, 3_400_001] {
            let (multiplier, shift) = scale(Rate::from_khz(khz));
            let mut recovered = (1_000_000_u64 << 32) / u64::from(multiplier);
            recovered = if shift < 0 { recovered << -shift } else { recovered >> shift };
            assert!(recovered.abs_diff(khz) <= 1, "{khz}: {recovered}");
        }
    }

    #[test]
    fn the_wall_clock_is_that_of_system_time_zero() {
        let (time, mut clock) = clock(1_000_000);
        let write = clock.write_msr((0, OLD_WALL_CLOCK, 0x2000), &time, 77).unwrap().unwrap();
        assert_eq!(write.address, 0x2000);
        assert_eq!(write.bytes[0..4], [2, 0, 0, 0]);
        assert_eq!(write.bytes[4..8], 1_795_353_255_u32.to_le_bytes());
        assert_eq!(write.bytes[8..12], [0; 4], "system time starts with the fraction");
    }

    #[test]
    fn addresses_outside_memory_get_nothing() {
        let (time, mut clock) = clock(1_000_000);
        for value in [(1 << 20) - 27, 0xffff_ffff_ffff_fffd, 0x1003, 0x1000] {
            assert_eq!(clock.write_msr((0, SYSTEM_TIME, value), &time, 0), Some(None), "{value:#x}");
        }
        assert_eq!(clock.write_msr((0, WALL_CLOCK, (1 << 20) - 8), &time, 0), Some(None));
        assert_eq!(clock.write_msr((0, 0x13, 0), &time, 0), None);
        assert_eq!(clock.write_msr((1, SYSTEM_TIME, 0x1001), &time, 0), None, "no such vCPU");
    }

    #[test]
    fn a_value_that_no_record_could_hold_is_not_kept() {
        let (time, mut clock) = clock(1_000_000);
        for value in [0x1003, 1 << 52 | 1, u64::MAX] {
            assert_eq!(clock.write_msr((0, SYSTEM_TIME, value), &time, 0), Some(None));
            assert_eq!(clock.write_msr((0, WALL_CLOCK, value), &time, 0), Some(None));
            assert_eq!((clock.read_msr(0, SYSTEM_TIME), clock.read_msr(0, WALL_CLOCK)), (Some(0), Some(0)));
        }
    }

    #[test]
    fn every_write_has_a_new_even_version() {
        let (time, mut clock) = clock(1_000_000);
        clock.write_msr((0, SYSTEM_TIME, 0x1001), &time, 0);
        assert_eq!(clock.refresh(0, &time, 5).unwrap().bytes[0], 4);
        assert_eq!(clock.read_msr(0, SYSTEM_TIME), Some(0x1001));
    }
}
