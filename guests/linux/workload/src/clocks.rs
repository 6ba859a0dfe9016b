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

/// How far the clocks may go apart, preemption between the two readings aside.
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

/// The clocks as they were at the start.
pub struct Clocks {
    start: Instant,
    real: Duration,
    timer: Timer,
    expired: u32,
}

impl Clocks {
    /// Begins.
    pub fn new() -> Result<Self, String> {
        let start = Instant::now();
        Ok(Self { start, real: real_time()?, timer: Timer::every(INTERVAL)?, expired: 0 })
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
        let before = read()?;
        let real = real_time()?;
        let between = read()?.saturating_duration_since(before);
        if real < YEAR_2020 {
            return Err(format!("CLOCK_REALTIME is {real:?}"));
        }
        let moved = before.saturating_duration_since(self.start);
        let distance = (self.real + moved).abs_diff(real);
        if distance > DISTANCE + between {
            return Err(format!("CLOCK_REALTIME and CLOCK_MONOTONIC went {distance:?} apart"));
        }
        self.check_timer()
    }

    fn check_timer(&mut self) -> Result<(), String> {
        let earliest = read()?.saturating_duration_since(self.start);
        self.expired += u32::try_from(self.timer.wait()?).map_err(|error| error.to_string())?;
        let latest = read()?.saturating_duration_since(self.start);
        // It was started a little after `start`, which the real clock's reading may have made more.
        let expired = INTERVAL * self.expired;
        if expired > latest + INTERVAL || expired + DISTANCE < earliest {
            return Err(format!("a timer says {expired:?}, the clock {earliest:?} to {latest:?}"));
        }
        Ok(())
    }
}

fn real_time() -> Result<Duration, String> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| format!("CLOCK_REALTIME: {error}"))
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
        clocks.real += Duration::from_secs(1);
        assert!(clocks.check().unwrap_err().contains("apart"));
    }

    #[test]
    fn a_timer_that_lags_is_noticed() {
        let mut clocks = Clocks::new().unwrap();
        clocks.start -= Duration::from_secs(1);
        assert!(clocks.check_timer().unwrap_err().contains("a timer says"));
    }
}
