// SPDX-License-Identifier: MIT OR Apache-2.0
//! The paravirtual clock: system time in nanoseconds, from the TSC and a page that the VMM keeps.
//!
//! Follows Linux, Documentation/virt/kvm/x86/msr.rst. Reading it leaves the guest not even once;
//! the page is read anew each time, so a VMM that changes it is seen at once.

use super::cpu::{cpuid, wrmsr};
use core::sync::atomic::{AtomicU64, Ordering, fence};

const LEAF_FEATURES: u32 = 0x4000_0001;
const FEATURE_CLOCK_2: u32 = 1 << 3;
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;

/// The page, in words: version, TSC, system time, multiplier with shift and flags.
#[repr(C, align(64))]
struct Page([AtomicU64; 4]);

static PAGE: Page = Page([const { AtomicU64::new(0) }; 4]);

/// The clock, set up.
pub struct Clock(());

/// What the page says.
#[derive(Clone, Copy)]
struct Line {
    tsc: u64,
    nanoseconds: u64,
    multiplier: u32,
    shift: i8,
}

impl Clock {
    /// Tells the VMM where the page is.
    ///
    /// # Panics
    /// If there is no such clock.
    #[must_use]
    pub fn new() -> Self {
        assert!(cpuid(LEAF_FEATURES, 0)[0] & FEATURE_CLOCK_2 != 0, "no paravirtual clock");
        let address = (&raw const PAGE) as u64;
        // SAFETY: memory is mapped one to one, and the 32 bytes there are the VMM's from now on.
        unsafe { wrmsr(SYSTEM_TIME, address | ENABLE) };
        Self(())
    }

    /// Nanoseconds of system time at a TSC that was read just now.
    #[must_use]
    pub fn nanoseconds(&self, tsc: u64) -> u64 {
        let line = self.line();
        let ticks = u128::from(tsc.wrapping_sub(line.tsc));
        let scaled = if line.shift < 0 { ticks >> -line.shift } else { ticks << line.shift };
        line.nanoseconds.wrapping_add((scaled * u128::from(line.multiplier) >> 32) as u64)
    }

    /// TSC ticks per millisecond, as the clock has them.
    #[must_use]
    pub fn tsc_khz(&self) -> u64 {
        let line = self.line();
        let khz = (1_000_000_u64 << 32) / u64::from(line.multiplier.max(1));
        if line.shift < 0 { khz << -line.shift } else { khz >> line.shift }
    }

    /// The page in one piece: its version is odd while it is written, and differs afterwards.
    fn line(&self) -> Line {
        let [version, tsc, nanoseconds, factor] = &PAGE.0;
        loop {
            // Acquire, and the fence: what is read in between is not of another version.
            let before = version.load(Ordering::Acquire);
            let (tsc, nanoseconds) = (tsc.load(Ordering::Relaxed), nanoseconds.load(Ordering::Relaxed));
            let factor = factor.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if before & 1 == 0 && before == version.load(Ordering::Relaxed) {
                return Line { tsc, nanoseconds, multiplier: factor as u32, shift: (factor >> 32) as i8 };
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
