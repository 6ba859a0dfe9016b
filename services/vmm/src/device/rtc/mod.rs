// SPDX-License-Identifier: MIT OR Apache-2.0
//! An MC146818 clock with 128 bytes of battery-backed memory.
//!
//! Owns time of day as the difference between the guest's idea and the wall clock, which comes in
//! with every access, so it needs no ticking. BCD and binary, 12 and 24 hours, century at 0x32. It
//! never interrupts: alarm and periodic registers only remember. Follows the MC146818A data sheet.

mod contract;

use crate::device::time::SECOND as NANOSECONDS;

/// Index of the century, as the FADT says.
pub const CENTURY: u8 = 0x32;
/// Bytes of memory, registers included.
pub const BYTES: usize = 128;

/// How long before a second's end the update announces itself.
const UPDATE_NS: u64 = 244_000;
/// 9999-12-31 23:59:59.
const LAST_SECOND: i64 = 253_402_300_799;

const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;

const A_RESET: u8 = 0x26;
const A_UPDATING: u8 = 0x80;
const B_SET: u8 = 0x80;
const B_BINARY: u8 = 4;
const B_24_HOURS: u8 = 2;
const D_VALID: u8 = 0x80;
const PM: u8 = 0x80;

/// The clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtc {
    /// Register that the data port shows.
    index: u8,
    /// Guest's seconds minus the wall clock's.
    offset: i64,
    /// Memory; the bytes of the time are up to date only while it is being set.
    memory: [u8; BYTES],
}

impl Default for Rtc {
    fn default() -> Self {
        let mut memory = [0; BYTES];
        memory[usize::from(STATUS_A)] = A_RESET;
        memory[usize::from(STATUS_B)] = B_24_HOURS;
        Self { index: 0, offset: 0, memory }
    }
}

impl Rtc {
    /// Selects a register. Bit 7 would mask NMIs.
    fn select(&mut self, value: u8) {
        self.index = value & 0x7f;
    }

    /// Reads the selected register; `wall` is nanoseconds since 1970.
    #[must_use]
    fn read_data(&self, wall: u64) -> u8 {
        let stored = self.memory[usize::from(self.index & 0x7f)];
        match self.index {
            index if is_time(index) && !self.is_being_set() => self.field(index, self.seconds(wall)),
            STATUS_A if !self.is_being_set() && wall % NANOSECONDS >= NANOSECONDS - UPDATE_NS => {
                stored | A_UPDATING
            }
            STATUS_C => 0,
            STATUS_D => D_VALID,
            _ => stored,
        }
    }

    /// Writes the selected register.
    fn write_data(&mut self, value: u8, wall: u64) {
        let slot = usize::from(self.index & 0x7f);
        match self.index {
            STATUS_C | STATUS_D => {}
            STATUS_A => self.memory[slot] = value & !A_UPDATING,
            STATUS_B => {
                let was_set = self.is_being_set();
                if !was_set {
                    self.store_fields(wall);
                }
                self.memory[slot] = value;
                if was_set && !self.is_being_set() {
                    self.load_fields(wall);
                }
            }
            index if is_time(index) && !self.is_being_set() => {
                self.store_fields(wall);
                self.memory[slot] = value;
                self.load_fields(wall);
            }
            _ => self.memory[slot] = value,
        }
    }

    fn is_being_set(&self) -> bool {
        self.memory[usize::from(STATUS_B)] & B_SET != 0
    }

    /// The guest's time in seconds since 1970.
    fn seconds(&self, wall: u64) -> i64 {
        let wall = (wall / NANOSECONDS) as i64;
        wall.saturating_add(self.offset).clamp(0, LAST_SECOND)
    }

    fn field(&self, index: u8, seconds: i64) -> u8 {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let value = match index {
            0 => second % 60,
            2 => second / 60 % 60,
            4 => return self.encode_hour((second / 3600) as u8),
            6 => (days + 4) % 7 + 1,
            7 => day,
            8 => month,
            9 => year % 100,
            _ => year / 100,
        };
        self.encode(value as u8)
    }

    fn store_fields(&mut self, wall: u64) {
        let seconds = self.seconds(wall);
        for index in (0..=CENTURY).filter(|&index| is_time(index)) {
            self.memory[usize::from(index)] = self.field(index, seconds);
        }
    }

    /// Takes the time from memory; what is no time changes nothing.
    fn load_fields(&mut self, wall: u64) {
        let field = |index: u8| i64::from(self.decode(self.memory[usize::from(index)]));
        let hour = i64::from(self.decode_hour(self.memory[4]));
        let (second, minute, day, month) = (field(0), field(2), field(7), field(8));
        let year = field(CENTURY) * 100 + field(9);
        let valid =
            second < 60 && minute < 60 && hour < 24 && (1..=31).contains(&day) && (1..=12).contains(&month);
        if valid && (1970..=9999).contains(&year) {
            let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
            self.offset = seconds - (wall / NANOSECONDS) as i64;
        }
    }

    fn binary(&self) -> bool {
        self.memory[usize::from(STATUS_B)] & B_BINARY != 0
    }

    fn encode(&self, value: u8) -> u8 {
        if self.binary() { value } else { ((value / 10 % 10) << 4) | (value % 10) }
    }

    fn decode(&self, value: u8) -> u8 {
        if self.binary() { value } else { (value >> 4) * 10 + (value & 0xf) }
    }

    fn encode_hour(&self, hour: u8) -> u8 {
        if self.memory[usize::from(STATUS_B)] & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let pm = if hour >= 12 { PM } else { 0 };
        self.encode((hour + 11) % 12 + 1) | pm
    }

    fn decode_hour(&self, value: u8) -> u8 {
        if self.memory[usize::from(STATUS_B)] & B_24_HOURS != 0 {
            return self.decode(value);
        }
        let noon = if value & PM != 0 { 12 } else { 0 };
        self.decode(value & !PM) % 12 + noon
    }
}

fn is_time(index: u8) -> bool {
    matches!(index, 0 | 2 | 4 | 6..=9 | CENTURY)
}

/// Year, month and day of a day counted from 1970-01-01 (not before).
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last; 400 years have 146,097 days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 13:14:15, a Sunday.
    const WALL: u64 = 1_795_353_255 * NANOSECONDS;

    fn get(rtc: &mut Rtc, index: u8, wall: u64) -> u8 {
        rtc.select(index);
        rtc.read_data(wall)
    }

    fn set(rtc: &mut Rtc, index: u8, value: u8, wall: u64) {
        rtc.select(index);
        rtc.write_data(value, wall);
    }

    #[test]
    fn it_tells_the_wall_clock_in_bcd() {
        let mut rtc = Rtc::default();
        let time = [0, 2, 4, 6, 7, 8, 9, 0x32].map(|index| get(&mut rtc, index, WALL));
        assert_eq!(time, [0x15, 0x14, 0x13, 0x01, 0x22, 0x11, 0x26, 0x20]);
    }

    #[test]
    fn it_tells_binary_and_twelve_hours_if_asked() {
        let mut rtc = Rtc::default();
        set(&mut rtc, 0xb, 4, WALL);
        assert_eq!(get(&mut rtc, 4, WALL), 0x81);
        assert_eq!(get(&mut rtc, 7, WALL), 22);
        let midnight = WALL - (13 * 3600 + 14 * 60 + 15) * NANOSECONDS;
        assert_eq!(get(&mut rtc, 4, midnight), 12);
        assert_eq!(get(&mut rtc, 4, midnight + 12 * 3600 * NANOSECONDS), 0x8c);
    }

    #[test]
    fn the_update_bit_announces_the_next_second() {
        let mut rtc = Rtc::default();
        assert_eq!(get(&mut rtc, 0xa, WALL), 0x26);
        assert_eq!(get(&mut rtc, 0xa, WALL + NANOSECONDS - 1000), 0xa6);
    }

    #[test]
    fn a_guest_sets_the_time_as_linux_does() {
        let mut rtc = Rtc::default();
        set(&mut rtc, 0xb, 0x82, WALL);
        let fields = [(9, 0x24), (8, 0x02), (7, 0x29), (4, 0x23), (2, 0x59), (0, 0x58), (0x32, 0x20)];
        for (index, value) in fields {
            set(&mut rtc, index, value, WALL);
        }
        assert_eq!(get(&mut rtc, 0, WALL + 5 * NANOSECONDS), 0x58, "stands while it is set");
        set(&mut rtc, 0xb, 0x02, WALL);
        let later = WALL + 3 * NANOSECONDS;
        let time = [0, 2, 4, 7, 8, 9].map(|index| get(&mut rtc, index, later));
        assert_eq!(time, [0x01, 0, 0, 0x01, 0x03, 0x24]);
    }

    #[test]
    fn nonsense_does_not_set_the_time() {
        let mut rtc = Rtc::default();
        set(&mut rtc, 8, 0x99, WALL);
        assert_eq!(get(&mut rtc, 8, WALL), 0x11);
    }

    #[test]
    fn the_rest_is_memory_and_status() {
        let mut rtc = Rtc::default();
        set(&mut rtc, 0x8f, 0x5a, WALL);
        assert_eq!(get(&mut rtc, 0x0f, WALL), 0x5a);
        set(&mut rtc, 1, 0x30, WALL);
        assert_eq!(get(&mut rtc, 1, WALL), 0x30);
        assert_eq!((get(&mut rtc, 0xc, WALL), get(&mut rtc, 0xd, WALL)), (0, 0x80));
    }

    #[test]
    fn every_day_converts_there_and_back() {
        for day in (0..2_900_000).step_by(97) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(get(&mut Rtc::default(), 9, u64::MAX), 0x54);
    }
}
