// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time: the TSC, and deadlines in it.

use core::sync::atomic::{AtomicU64, Ordering};

pub use abi::syscall::{FOREVER, POLL};

/// TSC ticks per millisecond.
static TSC_KHZ: AtomicU64 = AtomicU64::new(1_000_000);

/// Says how fast the TSC is.
pub fn set_tsc_khz(khz: u64) {
    TSC_KHZ.store(khz.max(1), Ordering::Relaxed);
}

/// TSC ticks per millisecond.
#[must_use]
pub fn tsc_khz() -> u64 {
    TSC_KHZ.load(Ordering::Relaxed)
}

/// The TSC now.
#[must_use]
pub fn now() -> u64 {
    // SAFETY: RDTSC only reads; the core leaves it to user level (CR4.TSD clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The deadline that is `ms` milliseconds away.
#[must_use]
pub fn after_ms(ms: u64) -> u64 {
    now().saturating_add(ms.saturating_mul(tsc_khz())).min(abi::syscall::FOREVER - 1)
}

/// Milliseconds since the TSC began.
#[must_use]
pub fn now_ms() -> u64 {
    now() / tsc_khz()
}
