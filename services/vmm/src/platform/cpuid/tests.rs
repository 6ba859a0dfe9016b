// SPDX-License-Identifier: MIT OR Apache-2.0
//! The policy over a processor that claims everything, and over a small one.

use super::*;

const ONE: Processor = Processor { id: 0, count: 1, cr4: 0, xcr0: 1, apic: true, tsc_khz: 2_596_150 };
const THIRD: Processor =
    Processor { id: 2, count: 4, cr4: CR4_OSXSAVE, xcr0: 7, apic: true, tsc_khz: 1_000_000 };

/// Every feature bit is set.
fn rich(leaf: u32, subleaf: u32) -> Leaf {
    match (leaf, subleaf) {
        (0, _) => Leaf::new(0x20, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
        (0x8000_0000, _) => Leaf::new(0x8000_0026, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
        (1, _) => Leaf::new(0x00a1_0f11, 0xff_ff_08_ff, u32::MAX, u32::MAX),
        (0xd, 0) => Leaf::new(0x2e7, 2440, 2440, 0),
        (0xd, 1) => Leaf::new(0x1f, 0, 0x1800, 0),
        (0xd, 2) => Leaf::new(256, 576, 0, 0),
        (0xd, 5) => Leaf::new(64, 832, 0, 0),
        (0xd, 6) => Leaf::new(512, 896, 0, 0),
        (0xd, 7) => Leaf::new(1024, 1408, 0, 0),
        (0xd, 9) => Leaf::new(8, 2432, 0, 0),
        (4 | 0x8000_001d, 3) => Leaf::new(0xffff_c163, 0x03c0_003f, 0x7fff, 1),
        (4 | 0x8000_001d, 4..) => Leaf::default(),
        (0x8000_0008, _) => Leaf::new(0x3934, u32::MAX, u32::MAX, u32::MAX),
        _ => Leaf::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX),
    }
}

/// An old processor without XSAVE, topology leaf and nested features.
fn poor(leaf: u32, _: u32) -> Leaf {
    match leaf {
        0 => Leaf::new(5, 0, 0, 0),
        1 => Leaf::new(0x0f12, 0x0800, 1 << 13 | 1, 0x078b_fbff),
        0x8000_0000 => Leaf::new(0x8000_0008, 0, 0, 0),
        0x8000_0008 => Leaf::new(0x3028, 0, 0, 0),
        _ => Leaf::default(),
    }
}

#[test]
fn what_a_guest_cannot_have_is_hidden() {
    let basic = answer(&ONE, 1, 0, &rich);
    // MONITOR, VMX, SMX, PDCM; MTRR.
    assert_eq!(basic.ecx & (1 << 3 | 1 << 5 | 1 << 6 | 1 << 15), 0);
    assert_eq!(basic.edx & 1 << 12, 0);
    let extended = answer(&ONE, 0x8000_0001, 0, &rich);
    assert_eq!(
        extended.ecx & (1 << 2 | 1 << 9 | 1 << 10 | 1 << 23 | 1 << 29),
        0,
        "SVM, OSVW, IBS, counters, MWAITX"
    );
    let structured = answer(&ONE, 7, 0, &rich);
    assert_eq!(structured.ecx & (1 << 3 | 1 << 16 | 1 << 7), 0, "PKU, LA57, CET");
    assert_eq!(structured.edx & (1 << 26 | 1 << 29 | 1 << 20), 0, "SPEC_CTRL, ARCH_CAPABILITIES, IBT");
    for leaf in
        [3, 5, 9, 0xa, 0xf, 0x10, 0x14, 0x15, 0x1f, 0x8000_000a, 0x8000_001b, 0x8000_001f, 0x8000_0022]
    {
        assert_eq!(answer(&ONE, leaf, 0, &rich), Leaf::default(), "{leaf:#x}");
    }
}

#[test]
fn what_we_emulate_is_there_whatever_the_processor_has() {
    for host in [rich, poor] {
        let basic = answer(&ONE, 1, 0, &host);
        let added = 1 << 21 | 1 << 24 | 1 << 31;
        assert_eq!((basic.ecx & added, basic.edx & 1 << 9), (added, 1 << 9));
        assert_eq!(answer(&ONE, 0x8000_0007, 0, &host), Leaf::new(0, 0, 0, 1 << 8));
        assert_eq!(answer(&ONE, 6, 0, &host).eax, 4);
    }
}

#[test]
fn a_disabled_local_apic_disappears() {
    let off = Processor { apic: false, ..ONE };
    assert_eq!(answer(&off, 1, 0, &rich).edx & 1 << 9, 0);
    assert_eq!(answer(&off, 0x8000_0001, 0, &rich).edx & 1 << 9, 0);
}

#[test]
fn a_small_processor_gets_no_leaf_it_has_not() {
    assert_eq!(answer(&ONE, 0, 0, &poor).eax, 0xb);
    assert_eq!(answer(&ONE, 0xd, 0, &poor), Leaf::default());
    assert_eq!(answer(&ONE, 1, 0, &poor).ecx & (1 << 26 | 1 << 27), 0);
    assert_eq!(answer(&ONE, 0x8000_001e, 0, &poor), Leaf::default());
    assert_eq!(components(&poor), 0);
    assert_eq!(answer(&ONE, 0x8000_0008, 0, &poor).eax, 0x3028);
}

#[test]
fn xsave_sizes_follow_what_the_guest_enabled() {
    assert_eq!(answer(&ONE, 0xd, 0, &rich), Leaf::new(0xe7, 576, 2432, 0));
    assert_eq!(answer(&THIRD, 0xd, 0, &rich).ebx, 832);
    assert_eq!(answer(&THIRD, 0xd, 1, &rich), Leaf::new(7, 832, 0, 0));
    assert_eq!(answer(&ONE, 0xd, 9, &rich), Leaf::default(), "protection keys are hidden");
    assert_eq!(answer(&ONE, 0xd, 7, &rich), Leaf::new(1024, 1408, 0, 0));
    assert_eq!((answer(&ONE, 1, 0, &rich).ecx >> 27 & 1, answer(&THIRD, 1, 0, &rich).ecx >> 27 & 1), (0, 1));
}

#[test]
fn topology_is_one_package_of_cores() {
    assert_eq!(answer(&THIRD, 1, 0, &rich).ebx, 0x0204_0800);
    assert_eq!(answer(&THIRD, 0xb, 0, &rich), Leaf::new(0, 1, 0x100, 2));
    assert_eq!(answer(&THIRD, 0xb, 1, &rich), Leaf::new(2, 4, 0x201, 2));
    assert_eq!(answer(&THIRD, 0xb, 2, &rich), Leaf::new(0, 0, 2, 2));
    assert_eq!(answer(&THIRD, 0x8000_0008, 0, &rich), Leaf::new(0x3034, 5, 0x2003, 0));
    assert_eq!(answer(&THIRD, 0x8000_001e, 0, &rich), Leaf::new(2, 2, 0, 0));
    assert_eq!(answer(&THIRD, 4, 3, &rich).eax >> 14, 3 << 12 | 3);
    assert_eq!(answer(&ONE, 0x8000_001d, 3, &rich).eax >> 14, 0);
    assert_eq!(answer(&ONE, 1, 0, &rich).edx >> 28 & 1, 0);
}

#[test]
fn linux_finds_kvms_clock_and_ours_behind_it() {
    let kvm = answer(&ONE, 0x4000_0000, 0, &rich);
    assert_eq!((kvm.ebx, kvm.ecx, kvm.edx), (0x4b4d_564b, 0x564b_4d56, 0x4d));
    assert!(kvm.eax >= 0x4000_0010);
    assert_eq!(answer(&ONE, 0x4000_0001, 0, &rich).eax, 1 << 1 | 1 << 3 | 1 << 24);
    assert_eq!(answer(&ONE, 0x4000_0010, 0, &rich), Leaf::new(2_596_150, 1_000_000, 0, 0));
    let ours = answer(&ONE, 0x4000_0100, 0, &rich);
    let text: Vec<u8> = [ours.ebx, ours.ecx, ours.edx].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!((ours.eax, &text[..10]), (0x4000_0101, &b"Understudy"[..]));
    assert_eq!(answer(&ONE, 0x4000_0101, 0, &rich), Leaf::new(1, 0b1110, 0, 0));
}

#[test]
fn a_component_that_does_not_fit_takes_its_companions_with_it() {
    let wide = |leaf, subleaf| match (leaf, subleaf) {
        (0xd, 7) => Leaf::new(1024, 2100, 0, 0),
        _ => rich(leaf, subleaf),
    };
    assert_eq!(components(&wide), 7);
    assert_eq!(answer(&ONE, 7, 0, &wide).ebx & 1 << 16, 0, "AVX512F");
    assert_ne!(answer(&ONE, 7, 0, &rich).ebx & 1 << 16, 0);
}

#[test]
fn xsave_is_hidden_where_the_core_has_not_switched_it_on() {
    const OFF: u32 = !masks::OSXSAVE;
    let host = |leaf, subleaf| match leaf {
        1 => Leaf { ecx: rich(leaf, subleaf).ecx & OFF, ..rich(leaf, subleaf) },
        _ => rich(leaf, subleaf),
    };
    assert_eq!(answer(&THIRD, 1, 0, &host).ecx & (masks::NEED_XSAVE | masks::OSXSAVE), 0);
    assert_eq!(answer(&THIRD, 0xd, 0, &host), Leaf::default());
}
