// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that never stops reading the time, and so knows how long it did not run.
//!
//! It reads TSC and paravirtual clock without end and without leaving the guest, and remembers the
//! longest time between two successive readings. Every `period_ms` (250) it prints `tick: count N
//! largest_gap_ticks G khz K largest_gap_ns T recent_gap_ticks R`: G and T are the longest since
//! the start, by TSC and by system time, R is the longest since the line before, K the TSC's
//! frequency as the clock says. A reading is taken between any two characters of a line too, so
//! that nothing hides behind the console.
//!
//! `tick: TSC WENT BACK` and `tick: CLOCK JUMPED` say that time is not what it must be: see
//! [`watch`].
#![no_std]
#![no_main]

mod watch;

use guest_rt::boot::Boot;
use guest_rt::println;
use watch::Watch;

guest_rt::entry!(main);

fn main(boot: &Boot) {
    let khz = boot.tsc_khz();
    let period = boot.number("period_ms", 250).max(1).saturating_mul(khz);
    println!("tick: {} KiB, {khz} kHz", boot.memory() / 1024);
    let mut watch = Watch::new(khz);
    let mut due = watch.now().saturating_add(period);
    let mut count = 0u64;
    loop {
        watch.look();
        if watch.now() >= due {
            count += 1;
            due = watch.now().saturating_add(period);
            watch.report(count);
        }
    }
}
