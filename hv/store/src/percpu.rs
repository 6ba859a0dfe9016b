// SPDX-License-Identifier: MIT OR Apache-2.0
//! One value per CPU.

use abi::boot::MAX_CPUS;

/// A value of which every CPU has its own.
pub struct PerCpu<T> {
    values: [T; MAX_CPUS],
}

// SAFETY: claim 4 of the crate: `local` gives a CPU its own value only; `of` is used for atomics,
// or by the holder of the capability lock while the other CPU is stopped.
unsafe impl<T> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// From the initial values.
    #[must_use]
    pub const fn new(values: [T; MAX_CPUS]) -> Self {
        Self { values }
    }

    /// This CPU's value.
    #[must_use]
    pub fn local(&self) -> &T {
        &self.values[x86_machine::percpu::cpu_index() % MAX_CPUS]
    }

    /// Another CPU's value. Only its atomics may be touched, unless that CPU is stopped.
    #[must_use]
    pub fn of(&self, cpu: usize) -> &T {
        &self.values[cpu % MAX_CPUS]
    }
}
