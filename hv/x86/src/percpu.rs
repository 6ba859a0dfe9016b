// SPDX-License-Identifier: MIT OR Apache-2.0
//! One block of private state per CPU, found through GS while in the kernel.

/// Index of this CPU: 0 is the boot CPU, the others follow in the order of [`crate::boot::BootFacts::cpus`].
#[must_use]
pub fn cpu_index() -> usize {
    todo!()
}
