// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must hold of the clocks.
//!
//! - The monotonic clock never goes back, on whatever CPU it is read.
//! - The real-time clock keeps its distance from it: nobody sets it in this guest.
//! - A sleep takes no less time than asked for.
//! - A timer has expired as often as the clock says.

use crate::system::{self, Timer};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the clocks may go apart, time between two readings aside.
const DISTANCE: Duration = Duration::from_millis(50);
/// Interval of the timer.
const INTERVAL: Duration = Duration::from_millis(10);
/// Before the start of any guest.
const YEAR_2020: Duration = Duration::from_secs(1_577_836_800);
/// Readings on one CPU.
const READINGS: usize = 200;

/// The latest reading of the monotonic clock, by whichever thread.
static LATEST: Mutex<Option<Instant>> = Mutex::new(None);

/// Reads the monotonic clock; an error if it was later before.
///
/// The lock is held from before the reading until it is noted, so that readings are in order.
pub fn read() -> Result<Instant, String> {
    let mut latest = LATEST.lock().map_err(|error| error.to_string())?;
    let now = Instant::now();
    let before = latest.replace(now).unwrap_or(now);
    match before.checked_duration_since(now) {
        Some(back) if !back.is_zero() => Err(format!("CLOCK_MONOTONIC went back by {back:?}")),
        _ => Ok(now),
    }
}

/// Reads the monotonic clock on every CPU in turn.
pub fn tour(cpus: usize) -> Result<(), String> {
    for cpu in 0..cpus {
        system::stay_on(cpu)?;
        for _ in 0..READINGS {
            read()?;
        }
    }
    Ok(())
}

/// Both clocks at one moment, which lay between two readings of the monotonic one.
#[derive(Clone, Copy)]
struct Pair {
    monotonic: Instant,
    real: Duration,
    /// How long the readings took: this program may have been kept waiting in between.
    took: Duration,
}

impl Pair {
    fn read() -> Result<Self, String> {
        let monotonic = read()?;
        let real = SystemTime::now().duration_since(UNIX_EPOCH);
        let real = real.map_err(|error| format!("CLOCK_REALTIME: {error}"))?;
        Ok(Self { monotonic, real, took: read()?.saturating_duration_since(monotonic) })
    }
}

/// The clocks as they were at the start.
pub struct Clocks {
    first: Pair,
    timer: Timer,
    /// Just before, and just after, the timer was started.
    started: (Instant, Instant),
    expired: u32,
}

impl Clocks {
    /// Begins.
    pub fn new() -> Result<Self, String> {
        let first = Pair::read()?;
        let before = read()?;
        let timer = Timer::every(INTERVAL)?;
        Ok(Self { first, timer, started: (before, read()?), expired: 0 })
    }

    /// Sleeps until `due`.
    pub fn sleep_until(&self, due: Instant) -> Result<(), String> {
        let asked = due.saturating_duration_since(Instant::now());
        let before = read()?;
        std::thread::sleep(asked);
        let slept = read()?.saturating_duration_since(before);
        if slept < asked { Err(format!("a sleep of {asked:?} took {slept:?}")) } else { Ok(()) }
    }

    /// Compares everything.
    pub fn check(&mut self) -> Result<(), String> {
        let now = Pair::read()?;
        if now.real < YEAR_2020 {
            return Err(format!("CLOCK_REALTIME is {:?}", now.real));
        }
        let moved = now.monotonic.saturating_duration_since(self.first.monotonic);
        let distance = (self.first.real + moved).abs_diff(now.real);
        if distance > DISTANCE + self.first.took + now.took {
            return Err(format!("CLOCK_REALTIME and CLOCK_MONOTONIC went {distance:?} apart"));
        }
        self.check_timer()
    }

    fn check_timer(&mut self) -> Result<(), String> {
        let least = read()?.saturating_duration_since(self.started.1);
        self.expired += u32::try_from(self.timer.wait()?).map_err(|error| error.to_string())?;
        let most = read()?.saturating_duration_since(self.started.0);
        let expired = INTERVAL * self.expired;
        if expired > most || expired + DISTANCE < least {
            return Err(format!("a timer says {expired:?}, the clock {least:?} to {most:?}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_clock_passes() {
        let mut clocks = Clocks::new().unwrap();
        clocks.sleep_until(Instant::now() + Duration::from_millis(25)).unwrap();
        clocks.check().unwrap();
    }

    #[test]
    fn a_clock_that_goes_apart_is_noticed() {
        let mut clocks = Clocks::new().unwrap();
        clocks.first.real += Duration::from_secs(1);
        assert!(clocks.check().unwrap_err().contains("apart"));
    }

    #[test]
    fn a_timer_that_lags_is_noticed() {
        let mut clocks = Clocks::new().unwrap();
        clocks.started.1 -= Duration::from_secs(1);
        assert!(clocks.check_timer().unwrap_err().contains("a timer says"));
    }
}
