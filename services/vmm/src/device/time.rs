// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conversion between TSC ticks and nanoseconds.
//!
//! Owns the one rate that all clocks of a virtual machine share, so that they cannot drift apart.

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

#[cfg(test)]
mod tests {
    use super::Rate;

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
