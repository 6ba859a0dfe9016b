// SPDX-License-Identifier: MIT OR Apache-2.0
//! A question and an answer of CPUID.

/// EAX, EBX, ECX and EDX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

impl Leaf {
    /// A leaf from its four registers in order.
    #[must_use]
    pub const fn new(eax: u32, ebx: u32, ecx: u32, edx: u32) -> Self {
        Self { eax, ebx, ecx, edx }
    }
}

/// What a vCPU's answers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// APIC id.
    pub id: u32,
    /// vCPUs in the machine.
    pub count: u32,
    /// CR4.
    pub cr4: u64,
    /// Enabled XSAVE components.
    pub xcr0: u64,
    /// Whether the base MSR of the local APIC enables it.
    pub apic: bool,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
}
