// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is taken here, the core takes too, on a processor that has every feature.

use abi::vcpu::VcpuPage;
use vcpu::limits::Limits;
use vcpu::state::{Msrs, System};
use vcpu::{InvalidField, event, fpu};

use super::page::blank;
use super::property::scramble;
use super::{Numbers, vcpu as sound};
use crate::check::Check;
use crate::{Segment, Vcpu};

/// Every feature.
const LIMITS: Limits = Limits {
    cr3: (1 << 52) - 1,
    cr4: u64::MAX,
    efer: u64::MAX,
    xcr0: u64::MAX,
    mxcsr: 0xffff,
    linear_bits: 57,
    tsc_aux: true,
};

/// What the core says to a page.
fn core_takes(page: &VcpuPage) -> Result<(), InvalidField> {
    let VcpuPage { cr0, cr2, cr3, cr4, cr8, efer, xcr0, cpl, dr, segments, interrupt_shadow, .. } = *page;
    let system = System { cr0, cr2, cr3, cr4, cr8, efer, xcr0, cpl, dr, segments, interrupt_shadow };
    system.check(&LIMITS)?;
    let VcpuPage { star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, .. } = *page;
    let VcpuPage { sysenter_eip, pat, tsc_aux, tsc_offset, .. } = *page;
    #[rustfmt::skip]
    let msrs = Msrs {
        star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, pat, tsc_aux, tsc_offset,
    };
    msrs.check(&LIMITS)?;
    event::alleged(page.inject)?;
    let word = |at: usize| page.xsave[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let words = core::array::from_fn(|index| word(fpu::HEADER_OFFSET + index * 8));
    fpu::Header { mxcsr: word(fpu::MXCSR_OFFSET), words }.check(&LIMITS)
}

/// Checks a state here and, if it is taken, in the core. Whether it was.
fn compare(vcpu: &Vcpu) -> bool {
    if vcpu.check().is_err() {
        return false;
    }
    let mut page = blank();
    vcpu.to_page(&mut page, 0);
    assert_eq!(core_takes(&page), Ok(()), "{vcpu:?}");
    true
}

#[test]
fn every_event_that_is_taken_here_the_core_injects() {
    let mut taken = 0;
    let errors = [0, 1 << 31, 7 << 32, 1 << 31 | 7 << 32];
    for low in (0..1 << 13).flat_map(|low: u64| errors.map(|high| low | high)) {
        taken += u32::from(compare(&Vcpu { event: low, ..sound() }));
    }
    assert!((256..2048).contains(&taken), "{taken}");
}

#[test]
fn every_state_that_is_taken_here_the_core_imports() {
    let mut numbers = Numbers(0x0dd_ba11);
    let mut taken = 0;
    for _ in 0..4000 {
        let mut wild = Vcpu::default();
        scramble(&mut wild, &mut numbers);
        // A few wild fields in a sound state: with all of them hardly any would be taken.
        let mut vcpu = sound();
        for _ in 0..1 + numbers.below(3) {
            mix(&mut vcpu, &wild, numbers.below(24));
        }
        if !vcpu.xsave.0.is_empty() {
            let at = numbers.below(vcpu.xsave.0.len());
            vcpu.xsave.0[at] ^= numbers.next() as u8 & numbers.next() as u8;
        }
        taken += u32::from(compare(&vcpu));
    }
    assert!(taken > 400, "{taken}");
}

/// Take one thing of the other state.
fn mix(vcpu: &mut Vcpu, from: &Vcpu, which: usize) {
    let narrow = |segment: &Segment| Segment { attributes: segment.attributes & 0xfff, ..segment.clone() };
    match which {
        0 => vcpu.cr0 ^= from.cr0 & 0xe005_003f,
        1 => vcpu.cr3 = from.cr3 >> 8,
        2 => vcpu.cr4 ^= from.cr4 & 0x00f7_1fff,
        3 => vcpu.cr8 = from.cr8 & 0x1f,
        4 => vcpu.efer ^= from.efer & 0xffff,
        5 => vcpu.xcr0 = from.xcr0 & 0x3ff,
        6 => vcpu.cpl = from.cpl & 7,
        7 => vcpu.dr6 = from.dr6,
        8 => vcpu.dr7 = from.dr7,
        9 => vcpu.pat = from.pat & 0x0707_0707_0707_0707,
        10 => vcpu.sfmask = from.sfmask,
        11 => vcpu.tsc_aux = from.tsc_aux,
        12 => vcpu.lstar = from.lstar,
        13 => vcpu.cstar = from.cstar,
        14 => vcpu.kernel_gs_base = from.kernel_gs_base,
        15 => vcpu.sysenter_esp = from.sysenter_esp,
        16 => vcpu.rip = from.rip,
        17 => vcpu.rflags = from.rflags & 0x3f_7fd7 | 2,
        18 => vcpu.cs = narrow(&from.cs),
        19 => vcpu.tr = narrow(&from.tr),
        20 => vcpu.gdtr = narrow(&from.gdtr),
        21 => vcpu.event = from.event,
        22 => vcpu.xsave = from.xsave.clone(),
        _ => vcpu.interrupt_shadow = from.interrupt_shadow,
    }
}
