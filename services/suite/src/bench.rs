// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs of the core's paths, in TSC ticks: under the emulator's instruction counting, in instructions.
//!
//! Each prints `bench NAME TICKS`: the median of many rounds.

use crate::context::Context;
use crate::suite::{Case, Verdict};
use alloc::format;
use alloc::vec::Vec;
use rt::time::now;

/// The measurements.
const CASES: &[Case] = &[Case { name: "bench-syscall-null", run: syscall_null }];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter()
}

/// Rounds of a measurement.
const ROUNDS: usize = 1000;

fn report(context: &Context, name: &str, mut ticks: Vec<u64>) {
    ticks.sort_unstable();
    let median = ticks.get(ticks.len() / 2).copied().unwrap_or(0);
    context.say(&format!("bench {name} {median}"));
}

fn syscall_null(context: &mut Context) -> Verdict {
    let ticks = (0..ROUNDS)
        .map(|_| {
            let begun = now();
            let _ = rt::syscall::raw(99, 0, 0, [0; 4], 0, 0);
            now() - begun
        })
        .collect();
    report(context, "syscall_null", ticks);
    Ok(())
}
