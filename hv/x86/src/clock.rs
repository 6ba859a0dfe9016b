// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frequencies of the clocks: measured once against the PIT, or told on the command line.
//!
//! A predecessor tells its successor what it has measured itself: nobody has the PIT alone then,
//! two measurements would differ, and measuring takes longer than the rest of the start.

use crate::port::{in8, out8};
use crate::{cpu, lapic, println};
use core::sync::atomic::{AtomicU64, Ordering};

const PIT_HZ: u64 = 1_193_182;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
/// Gate and output of channel 2.
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const OUTPUT: u8 = 1 << 5;
/// Channel 2, both bytes, mode 0: the output rises when the count is over.
const ONE_SHOT: u8 = 0xb0;

/// Length of one measurement in ticks of the PIT: 10 ms.
const TICKS: u64 = PIT_HZ / 100;
/// Most measurements. The first good one is taken.
const MEASUREMENTS: usize = 25;
/// A measurement is good when its ends are known to this part of its length.
const GOOD: u64 = 1000;
/// Reads of the output before the PIT is taken as not there: 10 ms are at most a hundred thousand.
const PATIENCE: usize = 20_000_000;

/// No TSC is faster: 100 GHz.
const MOST_KHZ: u64 = 100_000_000;
/// No APIC timer counts faster than the TSC by more than this.
const MOST_RATIO: u64 = 64 << 32;

static TSC_KHZ: AtomicU64 = AtomicU64::new(0);
/// See [`timer_ratio`].
static TIMER_RATIO: AtomicU64 = AtomicU64::new(0);

/// TSC ticks per millisecond.
#[must_use]
pub fn tsc_khz() -> u64 {
    TSC_KHZ.load(Ordering::Relaxed)
}

/// Ticks of the APIC timer per TSC tick, in units of 2^-32.
#[must_use]
pub fn timer_ratio() -> u64 {
    TIMER_RATIO.load(Ordering::Relaxed)
}

/// Count of the APIC timer for that many TSC ticks: at least 1, at most what it can count.
pub(crate) fn timer_count(tsc_ticks: u64) -> u32 {
    let count = (u128::from(tsc_ticks) * u128::from(timer_ratio())) >> 32;
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// Ticks of TSC and APIC timer during one measurement, and how far off its ends may be in TSC
/// ticks.
#[derive(Clone, Copy)]
struct Measurement {
    tsc: u64,
    timer: u32,
    doubt: u64,
}

/// Takes what is told of TSC and APIC timer, and measures the rest. A value that no clock can have
/// counts as not told.
pub(crate) fn calibrate(tsc_khz: Option<u64>, timer_ratio: Option<u64>) {
    let told = tsc_khz.filter(|khz| (1..=MOST_KHZ).contains(khz));
    if let (Some(khz), Some(ratio)) = (told, timer_ratio.filter(|ratio| (1..=MOST_RATIO).contains(ratio))) {
        TSC_KHZ.store(khz, Ordering::Relaxed);
        TIMER_RATIO.store(ratio, Ordering::Relaxed);
        return;
    }
    let Some(best) = best_measurement(told).filter(|best| best.tsc > 0 && best.timer > 0) else {
        println!("core: there is no PIT to measure the clocks with");
        crate::trap::stop();
    };
    TIMER_RATIO.store((u64::from(best.timer) << 32) / best.tsc, Ordering::Relaxed);
    if let Some(khz) = told {
        return TSC_KHZ.store(khz, Ordering::Relaxed);
    }
    let unit = u128::from(TICKS * 1000);
    let khz = (u128::from(best.tsc) * u128::from(PIT_HZ) + unit / 2) / unit;
    TSC_KHZ.store(khz as u64, Ordering::Relaxed);
}

/// The first good measurement, or the best of many. A machine that is itself emulated may stop this
/// CPU at any place: only a measurement whose *ends* were not disturbed says anything, however long
/// it took.
fn best_measurement(told_khz: Option<u64>) -> Option<Measurement> {
    let mut best: Option<Measurement> = None;
    for _ in 0..MEASUREMENTS {
        let Some(new) = told_khz.map_or_else(measure, |khz| Some(measure_timer(khz))) else { break };
        let best = best.get_or_insert(new);
        if new.doubt < best.doubt {
            *best = new;
        }
        if best.doubt < best.tsc / GOOD {
            break;
        }
    }
    best
}

/// Measures the APIC timer alone, for 10 ms.
fn measure_timer(tsc_khz: u64) -> Measurement {
    let before_start = cpu::rdtsc();
    lapic::count_start();
    let start = cpu::rdtsc();
    let mut before_end = start;
    while before_end.wrapping_sub(start) < 10 * tsc_khz {
        before_end = cpu::rdtsc();
    }
    let timer = lapic::counted();
    let end = cpu::rdtsc();
    lapic::count_stop();
    let doubt = start.saturating_sub(before_start) + end.saturating_sub(before_end);
    Measurement { tsc: end.saturating_sub(start), timer, doubt }
}

fn measure() -> Option<Measurement> {
    out8(CONTROL, in8(CONTROL) & !SPEAKER | GATE);
    out8(PIT_COMMAND, ONE_SHOT);
    out8(PIT_CHANNEL_2, TICKS as u8);
    lapic::count_start();
    let before_start = cpu::rdtsc();
    out8(PIT_CHANNEL_2, (TICKS >> 8) as u8);
    let start = cpu::rdtsc();
    let timer_start = lapic::counted();
    let after_start = cpu::rdtsc();
    let (mut before_end, mut end) = (start, start);
    let over = (0..PATIENCE).any(|_| {
        before_end = end;
        let output = in8(CONTROL) & OUTPUT;
        end = cpu::rdtsc();
        output != 0
    });
    let timer_end = lapic::counted();
    let after_end = cpu::rdtsc();
    lapic::count_stop();
    over.then(|| Measurement {
        tsc: end.saturating_sub(start),
        timer: timer_end.wrapping_sub(timer_start),
        doubt: after_start.saturating_sub(before_start) + after_end.saturating_sub(before_end),
    })
}

/// Waits, on the way up only.
pub(crate) fn wait_microseconds(microseconds: u64) {
    let end = cpu::rdtsc().saturating_add(microseconds * tsc_khz() / 1000);
    while cpu::rdtsc() < end {
        cpu::pause();
    }
}
