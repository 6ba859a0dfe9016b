// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this processor lets a guest's registers hold, worked out of CPUID once.

/// Raw CPUID values that [`Limits`] is made of; leaves that the processor lacks are zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Leaf 1, ECX.
    pub leaf1_ecx: u32,
    /// Leaf 7 subleaf 0, EBX.
    pub leaf7_ebx: u32,
    /// Leaf 7 subleaf 0, ECX.
    pub leaf7_ecx: u32,
    /// Leaf 0xd subleaf 0, EDX:EAX: components that XCR0 may have.
    pub xcr0: u64,
    /// Leaf 0xd subleaf n, (EAX, EBX) = (bytes, offset) of component n in the standard format.
    pub components: [(u32, u32); 16],
    /// Leaf 0x8000_0001, ECX.
    pub extended_ecx: u32,
    /// Leaf 0x8000_0001, EDX.
    pub extended_edx: u32,
    /// Leaf 0x8000_0008, EAX.
    pub address_sizes: u32,
    /// MXCSR_MASK as FXSAVE stores it (0 means the default).
    pub mxcsr_mask: u32,
}

/// What a guest's registers may hold here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits that CR3 may have.
    pub cr3: u64,
    /// Bits that CR4 may have.
    pub cr4: u64,
    /// Bits that EFER may have, as the guest sees it (never SVME).
    pub efer: u64,
    /// Components that XCR0 may have; 0 on a processor without XSAVE.
    pub xcr0: u64,
    /// Bits that MXCSR may have.
    pub mxcsr: u32,
    /// Bits of a linear address.
    pub linear_bits: u32,
    /// Whether there is a `TSC_AUX`.
    pub tsc_aux: bool,
}

/// EFER.LME.
pub const EFER_LME: u64 = 1 << 8;
/// EFER.LMA.
pub const EFER_LMA: u64 = 1 << 10;
/// EFER.SVME: always set in the control block, never seen by the guest.
pub const EFER_SVME: u64 = 1 << 12;

/// What lets a guest have a bit of CR4.
#[derive(Clone, Copy)]
enum Allowed {
    Always,
    /// A bit of CPUID, by register.
    Leaf1Ecx(u32),
    Leaf7Ebx(u32),
    Leaf7Ecx(u32),
    Never,
}

/// The policy over all bits of CR4 (APM vol. 2, 3.1.3). A guest writes CR4 itself, so each bit that
/// a processor takes and that is harmless is allowed where it is announced; one that nobody has
/// thought about is refused.
///
/// CET (bit 23) is harmless: what it switches on is in MSRs that exit, and VMMs refuse them.
const fn cr4_bit(bit: u32) -> Allowed {
    use Allowed::{Always, Leaf1Ecx, Leaf7Ebx, Leaf7Ecx, Never};
    match bit {
        // VME to PCE, OSFXSR, OSXMMEXCPT.
        0..=10 => Always,
        // UMIP, LA57.
        11 => Leaf7Ecx(2),
        12 => Leaf7Ecx(16),
        // FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE, CET.
        16 => Leaf7Ebx(0),
        17 => Leaf1Ecx(17),
        18 => Leaf1Ecx(26),
        20 => Leaf7Ebx(7),
        21 => Leaf7Ebx(20),
        22 => Leaf7Ecx(3),
        23 => Leaf7Ecx(7),
        // VMXE, SMXE, KL, PKS, UINTR, LASS, LAM, FRED and what is reserved.
        _ => Never,
    }
}

/// EFER bits by the bit of leaf 0x8000_0001 EDX that announces each: SCE, LME, LMA, NXE, FFXSR.
const EFER_EXTENDED_EDX: [(u32, u32); 5] = [(11, 0), (29, 8), (29, 10), (20, 11), (25, 14)];
/// Components that we carry: x87, SSE, AVX, the three of AVX-512, PKRU.
const CARRIED: u64 = 0x2e7;
const AVX512: u64 = 0xe0;
const DEFAULT_MXCSR_MASK: u32 = 0xffbf;

impl Limits {
    /// The limits that follow from `facts`.
    #[must_use]
    pub fn new(facts: &Facts) -> Self {
        let allowed = |bit: &u32| match cr4_bit(*bit) {
            Allowed::Always => true,
            Allowed::Leaf1Ecx(from) => facts.leaf1_ecx >> from & 1 == 1,
            Allowed::Leaf7Ebx(from) => facts.leaf7_ebx >> from & 1 == 1,
            Allowed::Leaf7Ecx(from) => facts.leaf7_ecx >> from & 1 == 1,
            Allowed::Never => false,
        };
        let cr4 = (0..64).filter(allowed).map(|bit| 1 << bit).sum();
        let translation_cache_extension = u64::from(facts.extended_ecx >> 17 & 1) << 15;
        let physical_bits = (facts.address_sizes & 0xff).clamp(32, 52);
        Self {
            cr3: (1 << physical_bits) - 1,
            cr4,
            efer: translate(facts.extended_edx, &EFER_EXTENDED_EDX) | translation_cache_extension,
            xcr0: Self::components(facts),
            mxcsr: if facts.mxcsr_mask == 0 { DEFAULT_MXCSR_MASK } else { facts.mxcsr_mask },
            linear_bits: if facts.leaf7_ecx >> 16 & 1 == 1 { 57 } else { 48 },
            tsc_aux: facts.extended_edx >> 27 & 1 == 1 || facts.leaf7_ecx >> 22 & 1 == 1,
        }
    }

    /// Whether an address is canonical here.
    #[must_use]
    pub const fn is_canonical(&self, address: u64) -> bool {
        let shift = 64 - self.linear_bits;
        ((address << shift) as i64 >> shift) as u64 == address
    }

    fn components(facts: &Facts) -> u64 {
        if facts.leaf1_ecx >> 26 & 1 == 0 {
            return 0;
        }
        let mut mask = facts.xcr0 & CARRIED;
        for (index, &(bytes, offset)) in facts.components.iter().enumerate().skip(2) {
            if u64::from(bytes) + u64::from(offset) > abi::vcpu::XSAVE_BYTES as u64 {
                mask &= !(1 << index);
            }
        }
        if mask & AVX512 == AVX512 { mask } else { mask & !AVX512 }
    }
}

fn translate(register: u32, table: &[(u32, u32)]) -> u64 {
    table.iter().filter(|(from, _)| register >> from & 1 == 1).map(|(_, to)| 1u64 << to).sum()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Much like QEMU's `-cpu max`.
    pub(crate) fn facts() -> Facts {
        let mut components = [(0, 0); 16];
        components[2] = (256, 576);
        components[9] = (8, 2688);
        Facts {
            leaf1_ecx: 1 << 26 | 1 << 21,
            leaf7_ebx: 1 | 1 << 7 | 1 << 20,
            leaf7_ecx: 1 << 2 | 1 << 3 | 1 << 16,
            xcr0: 0x207,
            components,
            extended_ecx: 1 << 2,
            extended_edx: 1 << 11 | 1 << 20 | 1 << 25 | 1 << 27 | 1 << 29,
            address_sizes: 0x3028,
            mxcsr_mask: 0xffff,
        }
    }

    #[test]
    fn what_the_processor_lacks_is_not_allowed() {
        let rich = Limits::new(&facts());
        assert_eq!((rich.xcr0, rich.efer, rich.linear_bits), (0x207, 0x4d01, 57));
        assert_eq!(rich.cr4, 0x7ff | 1 << 11 | 1 << 12 | 1 << 16 | 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22);
        let poor = Limits::new(&Facts::default());
        assert_eq!((poor.cr4, poor.efer, poor.xcr0, poor.linear_bits), (0x7ff, 0, 0, 48));
    }

    #[test]
    fn a_bit_of_cr4_that_nobody_has_thought_about_is_refused() {
        let all = Facts { leaf1_ecx: u32::MAX, leaf7_ebx: u32::MAX, leaf7_ecx: u32::MAX, ..facts() };
        assert_eq!(Limits::new(&all).cr4, 0x00f7_1fff);
    }

    #[test]
    fn each_bit_of_cr4_follows_its_own_bit_of_cpuid() {
        let places = [(0, 17), (0, 26), (1, 0), (1, 7), (1, 20), (2, 2), (2, 3), (2, 7), (2, 16)];
        for ((register, from), bit) in places.into_iter().zip([17, 18, 16, 20, 21, 11, 22, 23, 12]) {
            let value = |number| if number == register { 1 << from } else { 0 };
            let facts =
                Facts { leaf1_ecx: value(0), leaf7_ebx: value(1), leaf7_ecx: value(2), ..Facts::default() };
            assert_eq!(Limits::new(&facts).cr4, 0x7ff | 1 << bit, "{bit}");
        }
    }

    #[test]
    fn a_component_that_does_not_fit_the_page_is_not_offered() {
        let mut facts = facts();
        facts.xcr0 = 0x2e7;
        facts.components[7] = (1024, 2100);
        assert_eq!(Limits::new(&facts).xcr0, 0x207);
    }

    #[test]
    fn canonical_addresses_repeat_their_top_bit() {
        let limits = Limits::new(&Facts::default());
        assert!(limits.is_canonical(0x7fff_ffff_ffff) && limits.is_canonical(0xffff_8000_0000_0000));
        assert!(!limits.is_canonical(0x8000_0000_0000) && !limits.is_canonical(0xfffe_8000_0000_0000));
    }
}
