// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that says how long it was ever kept from running.
//!
//! Every `period_ms` (100) of TSC time it prints `beat N missed M max_gap_us G`: M counts the times
//! that two beats were more than `limit_ms` (500) apart, G is the longest time between two. With
//! `beats=N` it powers off after N; with `quiet=K` it prints every K-th beat only. With `touch=P`
//! each beat writes into P pages (at most 256), so that there is something for a checkpoint to keep
//! and for a restore to put back.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use guest_rt::boot::Boot;
use guest_rt::cpu::rdtsc;
use guest_rt::println;
use guest_rt::timer::Timer;

guest_rt::entry!(main);

/// Words of a page.
const PAGE_WORDS: usize = 512;
/// Pages to write into.
static PAGES: [AtomicU64; 256 * PAGE_WORDS] = [const { AtomicU64::new(0) }; 256 * PAGE_WORDS];

fn main(boot: &Boot) {
    let khz = boot.tsc_khz();
    let period = boot.number("period_ms", 100).max(1).saturating_mul(khz);
    let limit = boot.number("limit_ms", 500).saturating_mul(khz);
    let beats = boot.number("beats", 0);
    let quiet = boot.number("quiet", 1).max(1);
    let touch = boot.number("touch", 0) as usize;
    let timer = Timer::new();
    println!("heartbeat: {} KiB, {khz} kHz", boot.memory() / 1024);

    let (mut missed, mut longest) = (0, 0);
    let mut last = rdtsc();
    let mut beat = 0u64;
    while beats == 0 || beat < beats {
        let now = timer.wait_until(last.saturating_add(period));
        let gap = now.saturating_sub(last);
        last = now;
        beat += 1;
        missed += u64::from(gap > limit);
        longest = gap.max(longest);
        // One CPU: nothing is ordered by these.
        PAGES.iter().step_by(PAGE_WORDS).take(touch).for_each(|word| word.store(beat, Ordering::Relaxed));
        if beat.is_multiple_of(quiet) {
            println!("beat {beat} missed {missed} max_gap_us {}", longest.saturating_mul(1000) / khz);
        }
    }
    println!("heartbeat: done");
}
