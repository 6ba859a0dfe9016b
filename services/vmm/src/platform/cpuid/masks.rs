// SPDX-License-Identifier: MIT OR Apache-2.0
//! The features that pass from the real processor to the virtual one, register by register.
//!
//! A list of what is allowed, by bit number, with a name each. What is not named is hidden, for one
//! of these reasons: it needs an MSR or a state that is not virtualised (mitigations, shadow
//! stacks, protection keys, AMX, LWP), it measures or controls the real machine (counters, thermal,
//! RDT, trace), or it is privileged hardware of its own (SVM, VMX, SGX, MONITOR, MTRRs).

/// Sets the listed bits.
macro_rules! bits {
    ($($number:literal $name:ident),+ $(,)?) => { 0 $(| (1_u32 << $number))+ };
}

/// Leaf 1, ECX. `DTES64`, MONITOR, VMX, `EST`, `PDCM` and the like stay hidden; OSXSAVE follows
/// CR4.
pub const BASIC_ECX: u32 = bits!(
    0 SSE3, 1 PCLMULQDQ, 9 SSSE3, 12 FMA, 13 CX16, 17 PCID, 19 SSE4_1, 20 SSE4_2, 22 MOVBE, 23 POPCNT, 25 AES, 26 XSAVE,
    28 AVX, 29 F16C, 30 RDRAND,
);
/// Leaf 1, ECX: there whatever the real processor has.
pub const BASIC_ECX_ADDED: u32 = bits!(21 X2APIC, 24 TSC_DEADLINE, 31 HYPERVISOR);
/// Leaf 1, ECX.
pub const XSAVE: u32 = 1 << 26;
/// Leaf 1, ECX: of no use without XSAVE, and XSAVE itself.
pub const NEED_XSAVE: u32 = bits!(12 FMA, 26 XSAVE, 28 AVX, 29 F16C);
/// Leaf 1, ECX.
pub const OSXSAVE: u32 = 1 << 27;

/// Leaf 1, EDX. Machine checks pass although there are no banks: Linux complains without. MTRR
/// stays hidden; HTT follows the topology, APIC its base MSR.
pub const BASIC_EDX: u32 = bits!(
    0 FPU, 1 VME, 2 DE, 3 PSE, 4 TSC, 5 MSR, 6 PAE, 7 MCE, 8 CX8, 11 SEP, 13 PGE, 14 MCA, 15 CMOV, 16 PAT, 17 PSE36, 19 CLFSH, 23 MMX,
    24 FXSR, 25 SSE, 26 SSE2, 27 SS,
);
/// Leaf 1 and 8000_0001, EDX.
pub const APIC: u32 = 1 << 9;
/// Leaf 1, EDX.
pub const HTT: u32 = 1 << 28;

/// Leaf 6, EAX: the APIC timer always runs (ARAT).
pub const THERMAL_EAX: u32 = 1 << 2;

/// Leaf 7.0, EBX. `TSC_ADJUST`, TSX, MPX, RDT, SGX and trace stay hidden.
pub const STRUCTURED_EBX: u32 = bits!(
    0 FSGSBASE, 3 BMI1, 5 AVX2, 6 FDP_EXCEPTION_ONLY, 7 SMEP, 8 BMI2, 9 ERMS, 10 INVPCID, 13 NO_FPU_CS_DS, 16 AVX512F,
    17 AVX512DQ, 18 RDSEED, 19 ADX, 20 SMAP, 21 AVX512_IFMA, 23 CLFLUSHOPT, 24 CLWB, 28 AVX512CD, 29 SHA, 30 AVX512BW,
    31 AVX512VL,
);
/// Those of them that need AVX-512 state.
pub const AVX512_EBX: u32 = bits!(16 F, 17 DQ, 21 IFMA, 28 CD, 30 BW, 31 VL);

/// Leaf 7.0, ECX. PKU, shadow stacks, LA57, WAITPKG and key locker stay hidden.
pub const STRUCTURED_ECX: u32 = bits!(
    1 AVX512_VBMI, 2 UMIP, 6 AVX512_VBMI2, 8 GFNI, 9 VAES, 10 VPCLMULQDQ, 11 AVX512_VNNI, 12 AVX512_BITALG,
    14 AVX512_VPOPCNTDQ, 22 RDPID, 25 CLDEMOTE, 27 MOVDIRI, 28 MOVDIR64B,
);
/// Those of them that need AVX-512 state.
pub const AVX512_ECX: u32 = bits!(1 VBMI, 6 VBMI2, 11 VNNI, 12 BITALG, 14 VPOPCNTDQ);

/// Leaf 7.0, EDX. `SPEC_CTRL` and its kind are MSRs; they stay hidden.
pub const STRUCTURED_EDX: u32 = bits!(2 AVX512_4VNNIW, 3 AVX512_4FMAPS, 4 FSRM, 8 VP2INTERSECT, 10 MD_CLEAR, 14 SERIALIZE, 23 AVX512_FP16);
/// Those of them that need AVX-512 state.
pub const AVX512_EDX: u32 = bits!(2 VNNIW, 3 FMAPS, 8 VP2INTERSECT, 23 FP16);

/// Leaf 7.1, EAX.
pub const STRUCTURED_1_EAX: u32 = bits!(4 AVX_VNNI, 5 AVX512_BF16, 10 FZLRM, 11 FSRS, 12 FSRCS, 23 AVX_IFMA);
/// Those of them that need AVX-512 state.
pub const AVX512_1_EAX: u32 = bits!(5 BF16);

/// Leaf 0xd.1, EAX. XSAVES needs an MSR and stays hidden.
pub const XSAVE_1_EAX: u32 = bits!(0 XSAVEOPT, 1 XSAVEC, 2 XGETBV1);
/// Leaf 0xd.1, EAX.
pub const XSAVEC: u32 = 1 << 1;

/// Leaf 8000_0001, ECX. SVM, OSVW, IBS, LWP, counters and MWAITX stay hidden.
pub const EXTENDED_ECX: u32 = bits!(
    0 LAHF, 4 CR8, 5 LZCNT, 6 SSE4A, 7 MISALIGNED_SSE, 8 PREFETCHW, 11 XOP, 16 FMA4, 21 TBM, 22 TOPOEXT,
);
/// Leaf 8000_0001, ECX: more than one core without hyperthreads.
pub const LEGACY_MULTI_CORE: u32 = 1 << 1;
/// Leaf 8000_0001, ECX.
pub const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;

/// Leaf 8000_0001, EDX: on AMD the low part repeats leaf 1. FFXSR stays hidden.
pub const EXTENDED_EDX: u32 = bits!(
    0 FPU, 1 VME, 2 DE, 3 PSE, 4 TSC, 5 MSR, 6 PAE, 7 MCE, 8 CX8, 11 SYSCALL, 13 PGE, 14 MCA, 15 CMOV, 16 PAT, 17 PSE36, 20 NX, 22 MMXEXT,
    23 MMX, 24 FXSR, 26 PAGES_1G, 27 RDTSCP, 29 LONG_MODE, 30 AMD3DNOWEXT, 31 AMD3DNOW,
);

/// Leaf 8000_0007, EDX: the TSC runs at one rate, always.
pub const POWER_EDX: u32 = 1 << 8;
/// Leaf 8000_0008, EBX.
pub const SIZES_EBX: u32 = bits!(0 CLZERO, 2 XSAVE_ERROR_POINTERS);
/// Leaf 8000_0021, EAX.
pub const EXTENDED_21_EAX: u32 =
    bits!(0 NO_NESTED_DATA_BREAKPOINT, 2 LFENCE_SERIALIZES, 6 NULL_SELECTOR_CLEARS_BASE);
