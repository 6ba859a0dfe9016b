// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the processor offers for guests.

use super::cpu::with_fpu;
use crate::cpu::{cpuid, features};
use core::arch::x86_64::_fxsave64;
use vcpu::limits::Facts;

/// Leaf 1, ECX.
const XSAVE: u32 = 1 << 26;
const SVM_LEAF: u32 = 0x8000_000a;

/// Whether the TLB can be flushed for one guest alone.
pub fn has_flush_by_asid() -> bool {
    cpuid(SVM_LEAF, 0).edx >> 6 & 1 == 1
}

/// What the limits of a guest's state follow from.
pub fn facts() -> Facts {
    let basic = cpuid(1, 0);
    let structured = cpuid(7, 0);
    let extended = cpuid(0x8000_0001, 0);
    let mut facts = Facts {
        leaf1_ecx: basic.ecx,
        leaf7_ebx: structured.ebx,
        leaf7_ecx: structured.ecx,
        extended_ecx: extended.ecx,
        extended_edx: extended.edx,
        address_sizes: cpuid(0x8000_0008, 0).eax,
        mxcsr_mask: mxcsr_mask(),
        ..Facts::default()
    };
    if !features().xsave {
        facts.leaf1_ecx &= !XSAVE;
    } else {
        let state = cpuid(0xd, 0);
        facts.xcr0 = u64::from(state.edx) << 32 | u64::from(state.eax);
        for (index, component) in facts.components.iter_mut().enumerate().skip(2) {
            let area = cpuid(0xd, index as u32);
            *component = (area.eax, area.ebx);
        }
    }
    facts
}

fn mxcsr_mask() -> u32 {
    #[repr(align(64))]
    struct Area([u8; 512]);
    let mut area = Area([0; 512]);
    // SAFETY: the area is 512 bytes, aligned, and the FPU is enabled meanwhile; every x86-64
    // processor has FXSAVE.
    with_fpu(|| unsafe { _fxsave64(area.0.as_mut_ptr()) });
    u32::from_le_bytes([area.0[28], area.0[29], area.0[30], area.0[31]])
}
