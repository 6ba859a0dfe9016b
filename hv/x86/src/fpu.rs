// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guarding the floating-point registers, which belong to guests only.

/// Lets the core use FPU instructions (CR0.TS = 0): for XSAVE and XRSTOR of guests.
pub fn enable() {
    todo!()
}

/// Takes the FPU away again (CR0.TS = 1).
pub fn disable() {
    todo!()
}

/// XCR0 as set on every CPU; 0 where there is no XSAVE.
#[must_use]
pub fn xcr0_mask() -> u64 {
    todo!()
}
