// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frequencies of the clocks, measured once against the PIT.

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
const MEASUREMENTS: usize = 3;
/// Reads of the output before the PIT is taken as not there: 10 ms are at most a hundred thousand.
const PATIENCE: usize = 20_000_000;

static TSC_KHZ: AtomicU64 = AtomicU64::new(0);
/// APIC timer ticks per TSC tick, as a fraction of 2^32.
static TIMER_RATIO: AtomicU64 = AtomicU64::new(0);

/// TSC ticks per millisecond.
#[must_use]
pub fn tsc_khz() -> u64 {
    TSC_KHZ.load(Ordering::Relaxed)
}

/// Count of the APIC timer for that many TSC ticks: at least 1, at most what it can count.
pub(crate) fn timer_count(tsc_ticks: u64) -> u32 {
    let count = (u128::from(tsc_ticks) * u128::from(TIMER_RATIO.load(Ordering::Relaxed))) >> 32;
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// Measures TSC and APIC timer. What disturbs a measurement makes it longer, so the shortest counts.
pub(crate) fn calibrate() {
    let shortest = (0..MEASUREMENTS).filter_map(|_| measure()).min();
    let Some((tsc, timer)) = shortest.filter(|&(tsc, timer)| tsc > 0 && timer > 0) else {
        println!("core: there is no PIT to measure the clocks with");
        crate::trap::stop();
    };
    TSC_KHZ
        .store((u128::from(tsc) * u128::from(PIT_HZ) / u128::from(TICKS * 1000)) as u64, Ordering::Relaxed);
    TIMER_RATIO.store((u64::from(timer) << 32) / tsc, Ordering::Relaxed);
}

/// Ticks of TSC and APIC timer during one measurement.
fn measure() -> Option<(u64, u32)> {
    out8(CONTROL, in8(CONTROL) & !SPEAKER | GATE);
    out8(PIT_COMMAND, ONE_SHOT);
    out8(PIT_CHANNEL_2, TICKS as u8);
    lapic::count_start();
    out8(PIT_CHANNEL_2, (TICKS >> 8) as u8);
    let (start, timer_start) = (cpu::rdtsc(), lapic::counted());
    let over = (0..PATIENCE).any(|_| in8(CONTROL) & OUTPUT != 0);
    let (end, timer_end) = (cpu::rdtsc(), lapic::counted());
    lapic::count_stop();
    over.then(|| (end.wrapping_sub(start), timer_end.wrapping_sub(timer_start)))
}

/// Waits, on the way up only.
pub(crate) fn wait_microseconds(microseconds: u64) {
    let end = cpu::rdtsc().saturating_add(microseconds * tsc_khz() / 1000);
    while cpu::rdtsc() < end {
        cpu::pause();
    }
}
