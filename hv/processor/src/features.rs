// SPDX-License-Identifier: MIT OR Apache-2.0
//! The features of this processor, and the control bits that follow from them.
//!
//! Bit numbers: APM vol. 3, appendix E; SDM vol. 2A, CPUID.

use core::arch::x86_64::CpuidResult;

/// A register of a leaf's answer.
#[derive(Clone, Copy, Debug)]
pub enum Register {
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}
use Register::{Ebx, Ecx, Edx};

/// Where CPUID announces a feature: leaf, subleaf, register and bit.
#[derive(Clone, Copy, Debug)]
pub struct Place(u32, u32, Register, u32);

/// A feature that the core needs, and what to call it where it is missing.
pub type Required = (Place, &'static str);

/// What every processor has that can run the core. All of it is used without a further test.
pub const REQUIRED: [Required; 12] = [
    (Place(1, 0, Edx, 2), "debugging extensions (DE)"),
    (Place(1, 0, Edx, 4), "a time stamp counter (TSC)"),
    (Place(1, 0, Edx, 5), "model-specific registers (MSR)"),
    (Place(1, 0, Edx, 6), "physical address extension (PAE)"),
    (Place(1, 0, Edx, 7), "machine-check exceptions (MCE)"),
    (Place(1, 0, Edx, 9), "a local APIC"),
    (Place(1, 0, Edx, 13), "global pages (PGE)"),
    (Place(1, 0, Edx, 16), "a page attribute table (PAT)"),
    (Place(1, 0, Edx, 24), "FXSAVE"),
    (Place(1, 0, Edx, 25), "SSE"),
    (Place(0x8000_0001, 0, Edx, 11), "SYSCALL"),
    (Place(0x8000_0001, 0, Edx, 20), "no-execute pages (NX)"),
];

/// CR4 bits of [`REQUIRED`] features: DE, PAE, MCE, PGE, OSFXSR, OSXMMEXCPT.
const CR4_REQUIRED: u64 = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10;
const CR4_UMIP: u64 = 1 << 11;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

const XSAVE: Place = Place(1, 0, Ecx, 26);
const HYPERVISOR: Place = Place(1, 0, Ecx, 31);
/// Signature of QEMU's software emulation in leaf 0x4000_0000: "TCGTCGTCGTCG".
const TCG: [u32; 3] =
    [u32::from_le_bytes(*b"TCGT"), u32::from_le_bytes(*b"CGTC"), u32::from_le_bytes(*b"GTCG")];

/// What the processor can do, read once at boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the features of the same names")]
pub struct Features {
    pub x2apic: bool,
    pub tsc_deadline: bool,
    pub invariant_tsc: bool,
    pub pages_1g: bool,
    pub xsave: bool,
    pub rdrand: bool,
    pub smep: bool,
    pub smap: bool,
    pub umip: bool,
    pub svm: bool,
    pub amd: bool,
    pub physical_bits: u8,
}

/// Answers CPUID: leaf and subleaf; zeros for a leaf that the processor lacks.
pub trait Cpuid: Fn(u32, u32) -> CpuidResult {}
impl<F: Fn(u32, u32) -> CpuidResult> Cpuid for F {}

fn has(cpuid: &impl Cpuid, Place(leaf, subleaf, register, bit): Place) -> bool {
    let answer = cpuid(leaf, subleaf);
    let value = match register {
        Ebx => answer.ebx,
        Ecx => answer.ecx,
        Edx => answer.edx,
    };
    value >> bit & 1 != 0
}

/// Names the first required feature that the processor lacks.
pub fn missing(cpuid: &impl Cpuid) -> Option<&'static str> {
    REQUIRED.iter().find(|(place, _)| !has(cpuid, *place)).map(|(_, name)| *name)
}

/// Checks that XSAVE can be switched on. QEMU's software emulation takes CR4.OSXSAVE for a reserved
/// bit unless leaf 0xd, subleaf 1 has any bit (`cr4_reserved_bits` asks for `FEAT_XSAVE`), and
/// never comes back from the write. Old processors have XSAVE without XSAVEOPT, so only the
/// emulator is told apart.
fn xsave(cpuid: &impl Cpuid) -> bool {
    let signature = cpuid(0x4000_0000, 0);
    let emulated = has(cpuid, HYPERVISOR) && [signature.ebx, signature.ecx, signature.edx] == TCG;
    has(cpuid, XSAVE) && cpuid(0xd, 0).eax != 0 && (!emulated || cpuid(0xd, 1).eax != 0)
}

impl Features {
    /// Reads them.
    pub fn read(cpuid: &impl Cpuid) -> Self {
        let vendor = cpuid(0, 0).ebx;
        let physical_bits = cpuid(0x8000_0008, 0).eax as u8;
        Self {
            x2apic: has(cpuid, Place(1, 0, Ecx, 21)),
            tsc_deadline: has(cpuid, Place(1, 0, Ecx, 24)),
            invariant_tsc: has(cpuid, Place(0x8000_0007, 0, Edx, 8)),
            pages_1g: has(cpuid, Place(0x8000_0001, 0, Edx, 26)),
            xsave: xsave(cpuid),
            rdrand: has(cpuid, Place(1, 0, Ecx, 30)),
            smep: has(cpuid, Place(7, 0, Ebx, 7)),
            smap: has(cpuid, Place(7, 0, Ebx, 20)),
            umip: has(cpuid, Place(7, 0, Ecx, 2)),
            svm: has(cpuid, Place(0x8000_0001, 0, Ecx, 2)),
            amd: vendor == u32::from_le_bytes(*b"Auth") || vendor == u32::from_le_bytes(*b"Hygo"),
            physical_bits: if physical_bits == 0 { 36 } else { physical_bits },
        }
    }

    /// CR4 as the core runs with it.
    #[must_use]
    pub fn cr4(&self) -> u64 {
        let optional =
            [(self.umip, CR4_UMIP), (self.xsave, CR4_OSXSAVE), (self.smep, CR4_SMEP), (self.smap, CR4_SMAP)];
        optional.iter().filter(|(there, _)| *there).fold(CR4_REQUIRED, |cr4, (_, bit)| cr4 | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: CpuidResult = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };

    /// Much like QEMU's `-cpu Opteron_G4`: XSAVE, and nothing in leaf 0xd, subleaf 1.
    fn opteron(leaf: u32, subleaf: u32) -> CpuidResult {
        match (leaf, subleaf) {
            (0, _) => CpuidResult { eax: 0xd, ebx: u32::from_le_bytes(*b"Auth"), ..NONE },
            (1, _) => CpuidResult { ecx: 1 << 26 | 1 << 31, edx: 0x078b_fbff, ..NONE },
            (0xd, 0) => CpuidResult { eax: 7, ebx: 832, ecx: 832, ..NONE },
            (0x4000_0000, _) => CpuidResult { eax: 0x4000_0001, ebx: TCG[0], ecx: TCG[1], edx: TCG[2] },
            (0x8000_0001, _) => CpuidResult { ecx: 1 << 2, edx: 0x2c10_0800, ..NONE },
            _ => NONE,
        }
    }

    #[test]
    fn the_emulator_is_asked_for_xsave_only_where_it_takes_the_bit() {
        let features = Features::read(&opteron);
        assert!(features.svm && !features.xsave);
        assert_eq!(features.cr4() & CR4_OSXSAVE, 0);
        let with_xsaveopt = |leaf, subleaf| match (leaf, subleaf) {
            (0xd, 1) => CpuidResult { eax: 1, ..NONE },
            _ => opteron(leaf, subleaf),
        };
        assert!(Features::read(&with_xsaveopt).xsave);
    }

    #[test]
    fn a_real_processor_needs_no_xsaveopt() {
        let real = |leaf, subleaf| match leaf {
            1 => CpuidResult { ecx: 1 << 26, ..opteron(leaf, subleaf) },
            0x4000_0000 => NONE,
            _ => opteron(leaf, subleaf),
        };
        assert!(Features::read(&real).xsave);
    }

    #[test]
    fn cr4_has_no_bit_that_cpuid_does_not_announce() {
        let poor = |leaf, subleaf| match leaf {
            7 | 0xd => NONE,
            _ => opteron(leaf, subleaf),
        };
        assert_eq!(Features::read(&poor).cr4(), CR4_REQUIRED);
        for (place, bit) in [(20, CR4_SMAP), (7, CR4_SMEP)] {
            let one = |leaf, subleaf| match leaf {
                7 => CpuidResult { ebx: 1 << place, ..NONE },
                _ => opteron(leaf, subleaf),
            };
            assert_eq!(Features::read(&one).cr4(), CR4_REQUIRED | bit);
        }
    }

    #[test]
    fn each_required_feature_is_named_where_it_is_missing() {
        assert_eq!(missing(&opteron), None);
        for (Place(gone, _, _, bit), name) in REQUIRED {
            let without = |leaf, subleaf| {
                let answer = opteron(leaf, subleaf);
                if leaf == gone { CpuidResult { edx: answer.edx & !(1 << bit), ..answer } } else { answer }
            };
            assert_eq!(missing(&without), Some(name));
        }
    }
}
