// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local APIC of each CPU, in x2APIC mode where there is one.

/// Enables the local APIC of this CPU, everything masked. (Done before the kernel starts, on every CPU.)
pub fn init_this_cpu() {
    todo!()
}

/// APIC id of this CPU.
#[must_use]
pub fn id() -> u32 {
    todo!()
}

/// End of the interrupt in service.
pub fn eoi() {
    todo!()
}

/// Sends interrupt `vector` to the CPU with this APIC id.
pub fn send_ipi(apic_id: u32, vector: u8) {
    let _ = (apic_id, vector);
    todo!()
}

/// One interrupt [`crate::vectors::TIMER`] when the TSC reaches `deadline`, or at once if it has. Replaces the deadline set before.
///
/// Where the hardware cannot count that far, the interrupt comes early: the kernel looks at the clock and arms again.
pub fn timer_arm(deadline: u64) {
    let _ = deadline;
    todo!()
}

/// No timer interrupt until the next [`timer_arm`] (one that is already pending may still come).
pub fn timer_disarm() {
    todo!()
}
