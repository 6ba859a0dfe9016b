// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measurements: the least and the middle of many, in TSC ticks.

use alloc::format;
use alloc::vec::Vec;

use rt::time;

use crate::context::say;
use crate::outcome::Outcome;

/// Measurements of each value.
pub const ROUNDS: usize = 2000;

/// Measures `work` and prints `bench NAME LEAST` and `bench NAME_median MIDDLE`.
pub fn measure(name: &str, mut work: impl FnMut() -> Outcome) -> Outcome {
    // Once before, so that everything is where it will be.
    work()?;
    let mut ticks = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = time::now();
        work()?;
        ticks.push(time::now().wrapping_sub(begun));
    }
    report(name, ticks);
    Ok(())
}

/// Prints what was measured.
pub fn report(name: &str, mut ticks: Vec<u64>) {
    ticks.sort_unstable();
    let least = ticks.first().copied().unwrap_or(0);
    let middle = ticks.get(ticks.len() / 2).copied().unwrap_or(0);
    say(&format!("bench {name} {least}"));
    say(&format!("bench {name}_median {middle}"));
}
