// SPDX-License-Identifier: MIT OR Apache-2.0
//! The readings, what is between them, and what must hold of them.
//!
//! - The TSC never goes back.
//! - System time never goes back.
//! - Between two readings, system time moves as the TSC does, to 100 microseconds and a thousandth
//!   of the gap: no jump.
//! - So it does since the start, to a millisecond and a thousandth: no creeping away.
//!
//! A thousandth is far more than two calibrations of one TSC differ by, and far less than a
//! blackout.

use core::fmt::{self, Write};
use guest_rt::clock::Clock;
use guest_rt::cpu::rdtsc;
use guest_rt::{print, println};

/// Nanoseconds by which one gap may differ between the clocks, besides a thousandth of it.
const STEP_TOLERANCE: u64 = 100_000;
/// The same for all of the time since the start.
const WHOLE_TOLERANCE: u64 = 1_000_000;
/// One part in so many.
const RATE_TOLERANCE: u64 = 1000;

/// Both clocks at one moment.
#[derive(Clone, Copy)]
struct Reading {
    tsc: u64,
    nanoseconds: u64,
}

/// All that is known of the time so far.
pub struct Watch {
    clock: Clock,
    khz: u64,
    first: Reading,
    last: Reading,
    largest_gap_ticks: u64,
    largest_gap_ns: u64,
    recent_gap_ticks: u64,
    /// What was wrong since it was last reported.
    went_back: Option<u64>,
    jumped: Option<u64>,
}

impl Watch {
    /// Begins.
    pub fn new(khz: u64) -> Self {
        let clock = Clock::new();
        let tsc = rdtsc();
        let first = Reading { tsc, nanoseconds: clock.nanoseconds(tsc) };
        Self {
            clock,
            khz,
            first,
            last: first,
            largest_gap_ticks: 0,
            largest_gap_ns: 0,
            recent_gap_ticks: 0,
            went_back: None,
            jumped: None,
        }
    }

    /// The TSC at the last reading.
    pub fn now(&self) -> u64 {
        self.last.tsc
    }

    /// Takes a reading.
    pub fn look(&mut self) {
        let tsc = rdtsc();
        let reading = Reading { tsc, nanoseconds: self.clock.nanoseconds(tsc) };
        let last = core::mem::replace(&mut self.last, reading);
        if reading.tsc < last.tsc {
            self.went_back = Some(last.tsc - reading.tsc);
            self.first = reading;
            return;
        }
        let gap = reading.tsc - last.tsc;
        self.largest_gap_ticks = gap.max(self.largest_gap_ticks);
        self.recent_gap_ticks = gap.max(self.recent_gap_ticks);
        let wrong = self.disagreement(last, reading, STEP_TOLERANCE);
        if let Some(by) = wrong.or_else(|| self.disagreement(self.first, reading, WHOLE_TOLERANCE)) {
            self.jumped = Some(by);
            // One jump is told once.
            self.first = reading;
            return;
        }
        self.largest_gap_ns = (reading.nanoseconds - last.nanoseconds).max(self.largest_gap_ns);
    }

    /// Nanoseconds by which the clocks disagree on the time between two readings, where that is too
    /// much; also where system time went back.
    fn disagreement(&self, from: Reading, to: Reading, tolerance: u64) -> Option<u64> {
        let by_tsc = self.to_nanoseconds(to.tsc - from.tsc);
        let Some(by_clock) = to.nanoseconds.checked_sub(from.nanoseconds) else {
            return Some(from.nanoseconds - to.nanoseconds);
        };
        let by = by_tsc.abs_diff(by_clock);
        (by > tolerance + by_tsc / RATE_TOLERANCE).then_some(by)
    }

    fn to_nanoseconds(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * 1_000_000 / u128::from(self.khz)) as u64
    }

    /// Says what was seen.
    pub fn report(&mut self, count: u64) {
        if let Some(by) = self.went_back.take() {
            println!("tick: TSC WENT BACK by {by} ticks");
        }
        if let Some(by) = self.jumped.take() {
            println!("tick: CLOCK JUMPED by {by} ns");
        }
        let (ticks, ns) = (self.largest_gap_ticks, self.largest_gap_ns);
        let (khz, recent) = (self.clock.tsc_khz(), core::mem::take(&mut self.recent_gap_ticks));
        let _ = writeln!(
            Looking(self),
            "tick: count {count} largest_gap_ticks {ticks} khz {khz} largest_gap_ns {ns} recent_gap_ticks {recent}"
        );
    }
}

/// The console, with a reading after each character.
struct Looking<'a>(&'a mut Watch);

impl Write for Looking<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            print!("{character}");
            self.0.look();
        }
        Ok(())
    }
}
