// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting the other CPUs.

/// Starts every CPU of [`crate::boot::BootFacts::cpus`] but the boot CPU. Each calls `entry` with its index, on its
/// own kernel stack, in the core's own space, with its local APIC enabled and interrupts off; `entry` never returns
/// (it ends in [`crate::context::resume`] or an idle loop). Returns how many CPUs run, the boot CPU included, once
/// all have arrived in `entry`. To be called once. CPUs that do not answer are reported on the serial line.
pub fn start_all(entry: fn(usize) -> !) -> usize {
    let _ = entry;
    todo!()
}
