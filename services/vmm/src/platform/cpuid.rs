// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the virtual processor says of itself.
//!
//! A policy over the real processor's answers: `masks` lists each feature that passes, so what a
//! future processor brings stays hidden until somebody virtualises it; topology, frequency and
//! hypervisor leaves are made up here. What does not fit the virtual machine is left out:
//! virtualization, performance counters, MONITOR, MTRRs, mitigations by MSR, five-level paging,
//! states that the core does not save. The real CPUID comes in as a closure, so tests can play any
//! processor. Follows SDM vol. 2A and APM vol. 3, appendix E.

mod leaf;
mod masks;
mod topology;

pub use leaf::{Leaf, Processor};

use crate::device::pvclock::feature;
use abi::hypercall;

/// XSAVE components that a guest may enable: x87, SSE, AVX, and the three of AVX-512.
pub const XCR0_ALLOWED: u64 = 0xe7;
/// Bytes of the largest XSAVE area, in the standard format.
const XSAVE_BYTES: u32 = abi::vcpu::XSAVE_BYTES as u32;
/// The three components of AVX-512, which come together or not at all.
const AVX512: u64 = 0xe0;

const HYPERVISOR: u32 = 0x4000_0000;
const KVM_FEATURES: u32 = 0x4000_0001;
const FREQUENCY: u32 = 0x4000_0010;
const EXTENDED: u32 = 0x8000_0000;
const KVM_SIGNATURE: [u8; 12] = *b"KVMKVMKVM\0\0\0";

const CR4_OSXSAVE: u64 = 1 << 18;

/// Answers CPUID for a guest; `host` executes the real one for a leaf and subleaf.
pub fn answer(processor: &Processor, leaf: u32, subleaf: u32, host: &impl Fn(u32, u32) -> Leaf) -> Leaf {
    match leaf {
        0 => Leaf { eax: highest(host), ..host(0, 0) },
        HYPERVISOR..=0x4000_ffff => hypervisor(processor, leaf),
        EXTENDED => Leaf { eax: highest_extended(host), ..host(EXTENDED, 0) },
        0x8000_0001..=0x8000_ffff if leaf > highest_extended(host) => Leaf::default(),
        0x8000_0001 => features_extended(processor, host),
        // Brand string, caches and TLBs.
        0x8000_0002..=0x8000_0006 | 0x8000_0019 | 0x8000_001a => host(leaf, 0),
        0x8000_0007 => Leaf { edx: masks::POWER_EDX, ..Leaf::default() },
        0x8000_0008 => topology::sizes(processor, host(leaf, 0)),
        0x8000_001d => topology::cache_amd(processor, host(leaf, subleaf)),
        0x8000_001e => topology::node(processor),
        0x8000_0021 => Leaf { eax: host(leaf, 0).eax & masks::EXTENDED_21_EAX, ..Leaf::default() },
        _ if leaf > highest(host) => Leaf::default(),
        1 => features(processor, host),
        2 => host(2, 0),
        4 => topology::cache_intel(processor, host(4, subleaf)),
        // The APIC timer runs in every idle state.
        6 => Leaf { eax: masks::THERMAL_EAX, ..Leaf::default() },
        7 => features_structured(subleaf, host),
        0xb => topology::levels(processor, subleaf),
        0xd => xsave(processor, subleaf, host),
        _ => Leaf::default(),
    }
}

/// XSAVE components that this guest may enable on this host; without XSAVE none.
pub fn components(host: &impl Fn(u32, u32) -> Leaf) -> u64 {
    if host(0, 0).eax < 0xd || !has_xsave(host(1, 0).ecx) {
        return 0;
    }
    let real = host(0xd, 0);
    let supported = (u64::from(real.edx) << 32 | u64::from(real.eax)) & XCR0_ALLOWED;
    let too_big = |component: &u32| {
        let leaf = host(0xd, *component);
        leaf.ebx.saturating_add(leaf.eax) > XSAVE_BYTES
    };
    let fitted = (2..8).filter(too_big).fold(supported, |components, left_out| components & !(1 << left_out));
    if fitted & AVX512 == AVX512 { fitted } else { fitted & !AVX512 }
}

/// Tells whether a guest can have XSAVE: the processor has it, and the core has switched it on
/// (OSXSAVE follows its CR4).
const fn has_xsave(basic_ecx: u32) -> bool {
    const BOTH: u32 = masks::XSAVE | masks::OSXSAVE;
    basic_ecx & BOTH == BOTH
}

/// The largest basic leaf that is answered: topology always, XSAVE where there is one.
fn highest(host: &impl Fn(u32, u32) -> Leaf) -> u32 {
    host(0, 0).eax.clamp(0xb, 0xd)
}

fn highest_extended(host: &impl Fn(u32, u32) -> Leaf) -> u32 {
    host(EXTENDED, 0).eax.clamp(0x8000_0008, 0x8000_0021)
}

fn features(processor: &Processor, host: &impl Fn(u32, u32) -> Leaf) -> Leaf {
    let real = host(1, 0);
    let mut ecx = real.ecx & masks::BASIC_ECX | masks::BASIC_ECX_ADDED;
    if !has_xsave(real.ecx) {
        ecx &= !masks::NEED_XSAVE;
    }
    if ecx & masks::XSAVE != 0 && processor.cr4 & CR4_OSXSAVE != 0 {
        ecx |= masks::OSXSAVE;
    }
    let mut edx = real.edx & masks::BASIC_EDX;
    if processor.count > 1 {
        edx |= masks::HTT;
    }
    const CLFLUSH_BYTES: u32 = 0xff00;
    let ebx = processor.id << 24 | processor.count << 16 | real.ebx & CLFLUSH_BYTES;
    Leaf { eax: real.eax, ebx, ecx, edx: with_apic(processor, edx) }
}

fn features_extended(processor: &Processor, host: &impl Fn(u32, u32) -> Leaf) -> Leaf {
    let real = host(0x8000_0001, 0);
    let mut ecx = real.ecx & masks::EXTENDED_ECX;
    if highest_extended(host) < 0x8000_001e {
        ecx &= !masks::TOPOLOGY_EXTENSIONS;
    }
    if processor.count > 1 && real.ecx & masks::LEGACY_MULTI_CORE != 0 {
        ecx |= masks::LEGACY_MULTI_CORE;
    }
    let edx = real.edx & masks::EXTENDED_EDX;
    // AMD repeats the low features of leaf 1 here, and so the APIC bit; Intel leaves it clear.
    let edx = if real.edx & masks::APIC != 0 { with_apic(processor, edx) } else { edx };
    Leaf { eax: real.eax, ebx: real.ebx, ecx, edx }
}

fn with_apic(processor: &Processor, edx: u32) -> u32 {
    if processor.apic { edx | masks::APIC } else { edx & !masks::APIC }
}

fn features_structured(subleaf: u32, host: &impl Fn(u32, u32) -> Leaf) -> Leaf {
    let real = host(7, subleaf);
    let avx512 = components(host) & AVX512 == AVX512;
    let hide = |value: u32, wide: u32| if avx512 { value } else { value & !wide };
    match subleaf {
        0 => Leaf {
            eax: real.eax.min(1),
            ebx: hide(real.ebx & masks::STRUCTURED_EBX, masks::AVX512_EBX),
            ecx: hide(real.ecx & masks::STRUCTURED_ECX, masks::AVX512_ECX),
            edx: hide(real.edx & masks::STRUCTURED_EDX, masks::AVX512_EDX),
        },
        1 if host(7, 0).eax >= 1 => {
            Leaf { eax: hide(real.eax & masks::STRUCTURED_1_EAX, masks::AVX512_1_EAX), ..Leaf::default() }
        }
        _ => Leaf::default(),
    }
}

fn xsave(processor: &Processor, subleaf: u32, host: &impl Fn(u32, u32) -> Leaf) -> Leaf {
    let allowed = components(host);
    if allowed == 0 {
        return Leaf::default();
    }
    match subleaf {
        0 => {
            let current = standard_size(processor.xcr0 & allowed, host);
            Leaf::new(allowed as u32, current, standard_size(allowed, host), (allowed >> 32) as u32)
        }
        1 => {
            let eax = host(0xd, 1).eax & masks::XSAVE_1_EAX;
            let compact = compact_size(processor.xcr0 & allowed, host);
            Leaf::new(eax, if eax & masks::XSAVEC != 0 { compact } else { 0 }, 0, 0)
        }
        2..64 if allowed & 1 << subleaf != 0 => Leaf { edx: 0, ..host(0xd, subleaf) },
        _ => Leaf::default(),
    }
}

/// Legacy area and header.
const XSAVE_BASE: u32 = 576;

fn standard_size(components: u64, host: &impl Fn(u32, u32) -> Leaf) -> u32 {
    let enabled = (2..64).filter(|component| components & 1 << component != 0);
    let end = |component| {
        let leaf = host(0xd, component);
        leaf.ebx.saturating_add(leaf.eax)
    };
    enabled.map(end).fold(XSAVE_BASE, u32::max)
}

fn compact_size(components: u64, host: &impl Fn(u32, u32) -> Leaf) -> u32 {
    const ALIGNED: u32 = 2;
    let enabled = (2..64).filter(|component| components & 1 << component != 0);
    enabled.fold(XSAVE_BASE, |size, component| {
        let leaf = host(0xd, component);
        let start = if leaf.ecx & ALIGNED != 0 { size.next_multiple_of(64) } else { size };
        start.saturating_add(leaf.eax)
    })
}

fn hypervisor(processor: &Processor, leaf: u32) -> Leaf {
    match leaf {
        HYPERVISOR => signature(FREQUENCY, KVM_SIGNATURE),
        KVM_FEATURES => {
            Leaf { eax: feature::NO_IO_DELAY | feature::CLOCK_2 | feature::STABLE, ..Leaf::default() }
        }
        FREQUENCY => {
            let khz = u32::try_from(processor.tsc_khz).unwrap_or(u32::MAX);
            Leaf::new(khz, (crate::device::lapic::timer::BUS_HZ / 1000) as u32, 0, 0)
        }
        hypercall::LEAF_SIGNATURE => signature(hypercall::LEAF_FEATURES, hypercall::SIGNATURE),
        hypercall::LEAF_FEATURES => {
            let functions = 1 << hypercall::CHECKPOINT | 1 << hypercall::RESTORE | 1 << hypercall::QUOTA;
            Leaf::new(hypercall::VERSION, functions, 0, 0)
        }
        _ => Leaf::default(),
    }
}

fn signature(highest: u32, text: [u8; 12]) -> Leaf {
    let word = |at: usize| u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
    Leaf::new(highest, word(0), word(4), word(8))
}

#[cfg(test)]
mod tests;
