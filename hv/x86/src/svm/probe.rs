// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the processor offers for guests.

use super::cpu::with_fpu;
use core::arch::x86_64::{__cpuid_count, _fxsave64, CpuidResult};
use vcpu::limits::Facts;

const SVM_LEAF: u32 = 0x8000_000a;

/// Whether the TLB can be flushed for one guest alone.
pub fn has_flush_by_asid() -> bool {
    leaf(SVM_LEAF, 0).edx >> 6 & 1 == 1
}

/// What the limits of a guest's state follow from.
pub fn facts() -> Facts {
    let basic = leaf(1, 0);
    let structured = leaf(7, 0);
    let extended = leaf(0x8000_0001, 0);
    let mut facts = Facts {
        leaf1_ecx: basic.ecx,
        leaf7_ebx: structured.ebx,
        leaf7_ecx: structured.ecx,
        extended_ecx: extended.ecx,
        extended_edx: extended.edx,
        address_sizes: leaf(0x8000_0008, 0).eax,
        mxcsr_mask: mxcsr_mask(),
        ..Facts::default()
    };
    if basic.ecx >> 26 & 1 == 1 {
        let state = leaf(0xd, 0);
        facts.xcr0 = u64::from(state.edx) << 32 | u64::from(state.eax);
        for (index, component) in facts.components.iter_mut().enumerate().skip(2) {
            let area = leaf(0xd, index as u32);
            *component = (area.eax, area.ebx);
        }
    }
    facts
}

/// A leaf of CPUID; zeros where the processor has no such leaf.
fn leaf(number: u32, subleaf: u32) -> CpuidResult {
    let highest = __cpuid_count(number & 0x8000_0000, 0).eax;
    if number > highest {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    __cpuid_count(number, subleaf)
}

fn mxcsr_mask() -> u32 {
    #[repr(align(64))]
    struct Area([u8; 512]);
    let mut area = Area([0; 512]);
    // SAFETY: the area is 512 bytes, aligned, and the FPU is enabled meanwhile; every x86-64 processor has FXSAVE.
    with_fpu(|| unsafe { _fxsave64(area.0.as_mut_ptr()) });
    u32::from_le_bytes([area.0[28], area.0[29], area.0[30], area.0[31]])
}
