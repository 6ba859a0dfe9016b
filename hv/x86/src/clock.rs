// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frequencies of the clocks, measured once against the PIT.

/// TSC ticks per millisecond.
#[must_use]
pub fn tsc_khz() -> u64 {
    todo!()
}
