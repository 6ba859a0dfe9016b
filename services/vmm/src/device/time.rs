// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock of a virtual machine, and the conversion between TSC ticks and nanoseconds.
//!
//! Owns the one rate and the one line from TSC to time that all clocks of a machine share, so that
//! they cannot drift apart. What shows the time to the guest is a device.

/// How fast the guest's TSC counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    khz: u64,
}

impl Rate {
    /// A rate of `khz` ticks per millisecond, kept between 1 kHz and 1 THz.
    #[must_use]
    pub fn from_khz(khz: u64) -> Self {
        Self { khz: khz.clamp(1, 1_000_000_000) }
    }

    /// Ticks per millisecond.
    #[must_use]
    pub fn khz(self) -> u64 {
        self.khz
    }

    /// Nanoseconds that `ticks` take, rounded down; saturating.
    #[must_use]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        let whole = (ticks / self.khz).saturating_mul(1_000_000);
        whole.saturating_add(ticks % self.khz * 1_000_000 / self.khz)
    }

    /// Ticks in `nanoseconds`, rounded up, so that a deadline never comes early; saturating.
    #[must_use]
    pub fn ticks(self, nanoseconds: u64) -> u64 {
        let whole = (nanoseconds / 1_000_000).saturating_mul(self.khz);
        whole.saturating_add((nanoseconds % 1_000_000 * self.khz).div_ceil(1_000_000))
    }
}

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// A point on the line from the guest's TSC to system time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Guest's TSC.
    pub tsc: u64,
    /// System time in nanoseconds then.
    pub nanoseconds: u64,
}

/// The clock that all devices of a machine share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    rate: Rate,
    base: Base,
    /// Nanoseconds since 1970 at system time 0: whole seconds.
    wall_base: u64,
}

impl Clock {
    /// Makes a clock that starts with the TSC. `wall_base` is nanoseconds since 1970 at TSC 0.
    #[must_use]
    pub fn new(tsc_khz: u64, wall_base: u64) -> Self {
        let mut clock = Self { rate: Rate::from_khz(tsc_khz), base: Base::default(), wall_base: 0 };
        clock.set_base(Base::default(), wall_base);
        clock
    }

    /// How fast the guest's TSC counts.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns system time in nanoseconds.
    #[must_use]
    pub fn system_time(&self, tsc: u64) -> u64 {
        let elapsed = self.rate.nanoseconds(tsc.saturating_sub(self.base.tsc));
        self.base.nanoseconds.saturating_add(elapsed)
    }

    /// Returns nanoseconds since 1970.
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

    /// Moves the line, for a TSC that runs differently from now on or a wall clock that has moved.
    /// The fraction of a second in `wall_base` goes over to system time, since a checkpoint keeps
    /// whole seconds.
    pub fn set_base(&mut self, base: Base, wall_base: u64) {
        let fraction = wall_base % SECOND;
        self.base = Base { nanoseconds: base.nanoseconds.saturating_add(fraction), ..base };
        self.wall_base = wall_base - fraction;
    }

    /// Sets the line to what a record says. The paravirtual clock saves it, since the guest sees it
    /// there.
    pub fn load(&mut self, saved: &state::PvClock) {
        let base = Base { tsc: saved.tsc, nanoseconds: saved.nanoseconds };
        self.set_base(base, saved.epoch_seconds.saturating_mul(SECOND));
    }
}

#[cfg(test)]
mod tests {
    use super::{Base, Clock, Rate, SECOND};

    #[test]
    fn time_goes_on_from_a_new_base() {
        let mut clock = Clock::new(1_000_000, 1_795_353_255_500_000_000);
        assert_eq!(clock.wall(0), 1_795_353_255_500_000_000);
        clock.set_base(Base { tsc: 1000, nanoseconds: 50_000_000 }, 7 * SECOND);
        assert_eq!((clock.system_time(3000), clock.wall(3000)), (50_002_000, 7_050_002_000));
    }

    #[test]
    fn a_second_is_a_thousand_times_the_kilohertz() {
        let rate = Rate::from_khz(2_596_150);
        assert_eq!(rate.ticks(1_000_000_000), 2_596_150_000);
        assert_eq!(rate.nanoseconds(2_596_150_000), 1_000_000_000);
    }

    #[test]
    fn a_wait_in_ticks_is_never_shorter_than_the_nanoseconds_asked_for() {
        let rate = Rate::from_khz(2_596_151);
        for nanoseconds in [1, 7, 999_999, 1_000_001, 123_456_789_123] {
            assert!(rate.nanoseconds(rate.ticks(nanoseconds)) >= nanoseconds);
        }
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(Rate::from_khz(0).nanoseconds(u64::MAX), u64::MAX);
        assert_eq!(Rate::from_khz(u64::MAX).ticks(u64::MAX), u64::MAX);
    }
}
