// SPDX-License-Identifier: MIT OR Apache-2.0
//! The timer of a local APIC.
//!
//! Owns counting: one-shot and periodic from a bus clock of 1 GHz through the divider, or a
//! deadline in TSC ticks. It does not tick: the count is computed from the time of the question.
//! Which vector it raises, and whether it is masked, is the local vector table's business. Follows
//! SDM vol. 3A, 12.5.4.

use crate::device::time::Rate;

/// Frequency of the clock that the divider divides, in Hz: a count lasts as many nanoseconds as the
/// divider says.
pub const BUS_HZ: u64 = 1_000_000_000;

/// Shortest period, so that a guest cannot keep its monitor busy with a timer alone.
const LEAST_PERIOD_NS: u64 = 50_000;

/// What the timer does when it reaches zero; bits 17 and 18 of its entry in the local vector table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Stops.
    #[default]
    OneShot,
    /// Starts again.
    Periodic,
    /// Counts nothing; fires when the TSC reaches the deadline.
    Deadline,
}

/// The bits of an entry that hold the mode.
const MODE_BITS: u32 = 3 << 17;

impl Mode {
    /// Returns an entry that is written without the reserved mode, which becomes one-shot.
    #[must_use]
    pub fn known(entry: u32) -> u32 {
        if entry & MODE_BITS == MODE_BITS { entry & !MODE_BITS } else { entry }
    }

    /// Returns the mode in an entry of the local vector table; the reserved one reads as one-shot.
    #[must_use]
    pub fn from_entry(entry: u32) -> Self {
        match entry >> 17 & 3 {
            1 => Self::Periodic,
            2 => Self::Deadline,
            _ => Self::OneShot,
        }
    }
}

/// The counting part of the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub(super) rate: Rate,
    pub(super) mode: Mode,
    pub(super) divide: u32,
    pub(super) initial: u32,
    /// TSC at which the count was `initial`.
    pub(super) start: u64,
    /// TSC at which it fires next.
    pub(super) deadline: Option<u64>,
}

impl Timer {
    /// A timer that stands still.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, mode: Mode::OneShot, divide: 0, initial: 0, start: 0, deadline: None }
    }

    /// TSC at which the timer fires next.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Changes what the timer does. Between deadline mode and the others it disarms.
    pub fn set_mode(&mut self, mode: Mode) {
        if (mode == Mode::Deadline) != (self.mode == Mode::Deadline) {
            self.deadline = None;
            self.initial = 0;
        }
        self.mode = mode;
    }

    /// The divide configuration register.
    #[must_use]
    pub fn divide(&self) -> u32 {
        self.divide
    }

    /// Sets the divider; the count goes on from where it is.
    pub fn set_divide(&mut self, value: u32, now: u64) {
        let done = u64::from(self.initial.saturating_sub(self.current(now)));
        self.divide = value & 0xb;
        if self.mode != Mode::Deadline && self.deadline.is_some() {
            // The start may lie before TSC 0 now: differences wrap.
            self.start = now.wrapping_sub(self.rate.ticks(done << self.shift()));
            self.deadline = Some(self.start.wrapping_add(self.period()));
        }
    }

    /// The initial count register.
    #[must_use]
    pub fn initial(&self) -> u32 {
        self.initial
    }

    /// Starts counting from `value`; zero stops. Without effect in deadline mode.
    pub fn set_initial(&mut self, value: u32, now: u64) {
        if self.mode == Mode::Deadline {
            return;
        }
        self.initial = value;
        self.start = now;
        self.deadline = (value != 0).then(|| now.saturating_add(self.period()));
    }

    /// The current count register.
    #[must_use]
    pub fn current(&self, now: u64) -> u32 {
        if self.mode == Mode::Deadline || self.deadline.is_none() {
            return 0;
        }
        let elapsed = self.rate.nanoseconds(now.wrapping_sub(self.start)) >> self.shift();
        u32::try_from(u64::from(self.initial).saturating_sub(elapsed)).unwrap_or(0)
    }

    /// The deadline register; zero while disarmed.
    #[must_use]
    pub fn deadline_register(&self) -> u64 {
        if self.mode == Mode::Deadline { self.deadline.unwrap_or(0) } else { 0 }
    }

    /// Arms for a TSC value; zero disarms. Without effect outside deadline mode.
    pub fn set_deadline(&mut self, value: u64) {
        if self.mode == Mode::Deadline {
            self.deadline = (value != 0).then_some(value);
        }
    }

    /// Fires if it is time and returns whether it did. Missed periods fire once.
    pub fn advance(&mut self, now: u64) -> bool {
        let Some(deadline) = self.deadline else { return false };
        if now < deadline {
            return false;
        }
        self.deadline = None;
        if self.mode == Mode::Periodic {
            let period = self.period();
            let behind = (now - deadline) / period * period;
            self.start = deadline.saturating_add(behind);
            self.deadline = Some(self.start.saturating_add(period));
        }
        true
    }

    /// log2 of the divider.
    fn shift(&self) -> u32 {
        let code = self.divide & 3 | self.divide >> 1 & 4;
        (code + 1) & 7
    }

    /// Ticks from the initial count to zero; never 0. A period is at least [`LEAST_PERIOD_NS`].
    fn period(&self) -> u64 {
        let nanoseconds = u64::from(self.initial) << self.shift();
        let least = if self.mode == Mode::Periodic { LEAST_PERIOD_NS } else { 0 };
        self.rate.ticks(nanoseconds.max(least)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 ticks per nanosecond.
    fn timer(mode: Mode) -> Timer {
        let mut timer = Timer::new(Rate::from_khz(2_000_000));
        timer.set_mode(mode);
        timer
    }

    #[test]
    fn one_shot_counts_down_at_the_divided_bus_clock_and_fires_once() {
        let mut timer = timer(Mode::OneShot);
        timer.set_divide(0x3, 0);
        timer.set_initial(100, 1000);
        assert_eq!(timer.deadline(), Some(1000 + 100 * 16 * 2));
        assert_eq!(timer.current(1000 + 32 * 40), 60);
        assert!(!timer.advance(4199));
        assert!(timer.advance(4200));
        assert!(!timer.advance(9999));
        assert_eq!((timer.current(9999), timer.deadline()), (0, None));
    }

    #[test]
    fn every_divider_of_the_manual_is_known() {
        let codes = [(0x0, 2), (0x1, 4), (0x2, 8), (0x3, 16), (0x8, 32), (0x9, 64), (0xa, 128), (0xb, 1)];
        for (code, divider) in codes {
            let mut timer = timer(Mode::OneShot);
            timer.set_divide(code, 0);
            timer.set_initial(1000, 0);
            assert_eq!(timer.deadline(), Some(2000 * divider));
        }
    }

    #[test]
    fn periodic_goes_on_without_drift_and_collapses_what_was_missed() {
        let mut timer = timer(Mode::Periodic);
        timer.set_divide(0xb, 0);
        timer.set_initial(100_000, 0);
        assert!(timer.advance(201_000));
        assert_eq!(timer.deadline(), Some(400_000));
        assert!(timer.advance(900_000));
        assert_eq!(timer.deadline(), Some(1_000_000));
        assert_eq!(timer.current(900_000), 50_000);
    }

    #[test]
    fn a_period_is_never_so_short_that_nothing_else_gets_done() {
        let mut timer = timer(Mode::Periodic);
        timer.set_divide(0xb, 0);
        timer.set_initial(1, 0);
        assert_eq!(timer.deadline(), Some(100_000));
    }

    #[test]
    fn a_deadline_fires_when_the_tsc_gets_there_and_disarms() {
        let mut timer = timer(Mode::Deadline);
        timer.set_initial(5, 0);
        assert_eq!(timer.deadline(), None);
        timer.set_deadline(500);
        assert_eq!(timer.deadline_register(), 500);
        assert!(timer.advance(500));
        assert_eq!(timer.deadline_register(), 0);
        timer.set_deadline(900);
        timer.set_deadline(0);
        assert!(!timer.advance(1000));
    }

    #[test]
    fn leaving_deadline_mode_disarms() {
        let mut timer = timer(Mode::Deadline);
        timer.set_deadline(500);
        timer.set_mode(Mode::OneShot);
        assert_eq!(timer.deadline(), None);
    }

    #[test]
    fn a_new_divider_keeps_the_count() {
        let mut timer = timer(Mode::OneShot);
        timer.set_divide(0xb, 0);
        timer.set_initial(1000, 0);
        timer.set_divide(0x0, 800);
        assert_eq!(timer.current(800), 600);
        assert_eq!(timer.deadline(), Some(800 + 600 * 4));
    }
}
