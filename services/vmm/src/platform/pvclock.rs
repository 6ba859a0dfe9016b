// SPDX-License-Identifier: MIT OR Apache-2.0
//! The paravirtual clock of KVM.
//!
//! Owns where each vCPU wants its clock page and the linear function that the page tells: system time in nanoseconds from
//! TSC ticks. One function serves all vCPUs, so the clock is stable. It also keeps the wall clock of the machine, from
//! which the [`crate::device::rtc`] shows the time of day. Guest memory is not touched here: what is to be written
//! comes out as [`Write`]. Follows Linux, Documentation/virt/kvm/x86/{msr,cpuid}.rst.

use alloc::vec::Vec;

use crate::device::time::Rate;

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
const NANOSECONDS: u64 = 1_000_000_000;

/// Bytes to be written to guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Guest-physical address; the whole range is in the guest's memory.
    pub address: u64,
    /// What to write.
    pub bytes: Vec<u8>,
}

/// The clock of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvClock {
    rate: Rate,
    memory: u64,
    /// The line through (TSC, nanoseconds since start).
    base: Base,
    /// Nanoseconds since 1970 at system time 0.
    wall_base: u64,
    /// Value of the wall clock MSR.
    wall_address: u64,
    wall_version: u32,
    /// By vCPU: value of the system time MSR, and version of its page.
    pages: Vec<(u64, u32)>,
}

/// The point through which system time goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Guest's TSC.
    pub tsc: u64,
    /// System time in nanoseconds then.
    pub nanoseconds: u64,
}

impl PvClock {
    /// A clock that starts with the TSC, for a guest with `memory` bytes from address 0. `wall_base` is nanoseconds since
    /// 1970 at TSC 0.
    #[must_use]
    pub fn new(rate: Rate, wall_base: u64, memory: u64, processors: usize) -> Self {
        let pages = alloc::vec![(0, 0); processors];
        let base = Base::default();
        let mut clock = Self { rate, memory, base, wall_base: 0, wall_address: 0, wall_version: 0, pages };
        clock.set_base(base, wall_base);
        clock
    }

    /// System time in nanoseconds.
    #[must_use]
    pub fn system_time(&self, tsc: u64) -> u64 {
        let elapsed = self.rate.nanoseconds(tsc.saturating_sub(self.base.tsc));
        self.base.nanoseconds.saturating_add(elapsed)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn wall(&self, tsc: u64) -> u64 {
        self.wall_base.saturating_add(self.system_time(tsc))
    }

    /// The point through which system time goes.
    #[must_use]
    pub fn base(&self) -> Base {
        self.base
    }

    /// Nanoseconds since 1970 at system time 0: whole seconds.
    #[must_use]
    pub fn wall_base(&self) -> u64 {
        self.wall_base
    }

    /// Sets the line anew, for a TSC that runs differently from now on or a wall clock that has moved. Call
    /// [`PvClock::refresh`] for every vCPU then. The fraction of a second in `wall_base` goes over to system time, since a
    /// checkpoint keeps whole seconds.
    pub fn set_base(&mut self, base: Base, wall_base: u64) {
        let fraction = wall_base % NANOSECONDS;
        self.base = Base { nanoseconds: base.nanoseconds.saturating_add(fraction), ..base };
        self.wall_base = wall_base - fraction;
    }

    /// Reads an MSR of the clock; `None` if it is none.
    #[must_use]
    pub fn read_msr(&self, cpu: usize, msr: u32) -> Option<u64> {
        match msr {
            WALL_CLOCK | OLD_WALL_CLOCK => Some(self.wall_address),
            SYSTEM_TIME | OLD_SYSTEM_TIME => self.pages.get(cpu).map(|page| page.0),
            _ => None,
        }
    }

    /// Writes an MSR of the clock; `None` if it is none. The guest counts on finding its page filled at once. An address
    /// outside its memory is remembered and gets nothing.
    pub fn write_msr(&mut self, cpu: usize, msr: u32, value: u64, tsc: u64) -> Option<Option<Write>> {
        match msr {
            WALL_CLOCK | OLD_WALL_CLOCK => {
                self.wall_address = value;
                Some(self.wall_page())
            }
            SYSTEM_TIME | OLD_SYSTEM_TIME => {
                self.pages.get_mut(cpu)?.0 = value;
                Some(self.refresh(cpu, tsc))
            }
            _ => None,
        }
    }

    /// The page of a vCPU, as of now; `None` where the guest wants none.
    pub fn refresh(&mut self, cpu: usize, tsc: u64) -> Option<Write> {
        let system_time = self.system_time(tsc);
        let (multiplier, shift) = scale(self.rate);
        let (value, version) = self.pages.get_mut(cpu)?;
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

    /// Where the guest wants its clocks and how often they were written: wall clock, then each vCPU.
    #[must_use]
    pub fn pages(&self) -> ((u64, u32), &[(u64, u32)]) {
        ((self.wall_address, self.wall_version), &self.pages)
    }

    /// The inverse of [`PvClock::pages`]; what is too much for this machine is dropped.
    pub fn set_pages(&mut self, wall: (u64, u32), pages: impl Iterator<Item = (u64, u32)>) {
        (self.wall_address, self.wall_version) = (wall.0, wall.1 & !1);
        for (page, (address, version)) in self.pages.iter_mut().zip(pages) {
            *page = (address, version & !1);
        }
    }

    fn wall_page(&mut self) -> Option<Write> {
        if self.wall_address == 0 || !fits(self.wall_address, WALL_BYTES, self.memory) {
            return None;
        }
        self.wall_version = self.wall_version.wrapping_add(2);
        let seconds = (self.wall_base / NANOSECONDS) as u32;
        let nanoseconds = (self.wall_base % NANOSECONDS) as u32;
        let words = [self.wall_version, seconds, nanoseconds];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Some(Write { address: self.wall_address, bytes })
    }
}

/// The factor of the page: nanoseconds = (ticks << shift) * multiplier >> 32, with the multiplier in its upper half.
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

fn fits(address: u64, bytes: usize, memory: u64) -> bool {
    address.is_multiple_of(4) && address.checked_add(bytes as u64).is_some_and(|end| end <= memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRACTION: u64 = 500_000_000;

    fn clock(khz: u64) -> PvClock {
        PvClock::new(Rate::from_khz(khz), 1_795_353_255_500_000_000, 1 << 20, 1)
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
            let mut clock = clock(khz);
            let write = clock.write_msr(0, SYSTEM_TIME, 0x1041, khz * 1000).unwrap().unwrap();
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
        let mut clock = clock(1_000_000);
        let write = clock.write_msr(0, OLD_WALL_CLOCK, 0x2000, 77).unwrap().unwrap();
        assert_eq!(write.address, 0x2000);
        assert_eq!(write.bytes[0..4], [2, 0, 0, 0]);
        assert_eq!(write.bytes[4..8], 1_795_353_255_u32.to_le_bytes());
        assert_eq!(write.bytes[8..12], [0; 4], "system time starts with the fraction");
        assert_eq!(clock.wall(0), 1_795_353_255_500_000_000);
    }

    #[test]
    fn addresses_outside_memory_get_nothing() {
        let mut clock = clock(1_000_000);
        for value in [(1 << 20) - 27, 0xffff_ffff_ffff_fffd, 0x1003, 0x1000] {
            assert_eq!(clock.write_msr(0, SYSTEM_TIME, value, 0), Some(None), "{value:#x}");
        }
        assert_eq!(clock.write_msr(0, WALL_CLOCK, (1 << 20) - 8, 0), Some(None));
        assert_eq!(clock.write_msr(0, 0x13, 0, 0), None);
        assert_eq!(clock.write_msr(1, SYSTEM_TIME, 0x1001, 0), None, "no such vCPU");
    }

    #[test]
    fn every_write_has_a_new_even_version() {
        let mut clock = clock(1_000_000);
        clock.write_msr(0, SYSTEM_TIME, 0x1001, 0);
        assert_eq!(clock.refresh(0, 5).unwrap().bytes[0], 4);
        assert_eq!(clock.read_msr(0, SYSTEM_TIME), Some(0x1001));
    }

    #[test]
    fn time_goes_on_from_a_new_base() {
        let mut clock = clock(1_000_000);
        clock.set_base(Base { tsc: 1000, nanoseconds: 50_000_000 }, 7 * NANOSECONDS);
        assert_eq!((clock.system_time(3000), clock.wall(3000)), (50_002_000, 7_050_002_000));
    }
}
