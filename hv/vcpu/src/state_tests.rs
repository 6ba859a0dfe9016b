// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of `state`.

use super::*;
use crate::limits::tests::facts;

fn limits() -> Limits {
    Limits::new(&facts())
}

fn long_mode() -> System {
    let mut state = System::reset();
    state.cr0 = abi::guest::CR0;
    state.cr4 = abi::guest::CR4;
    state.efer = abi::guest::EFER;
    state.cr3 = abi::guest::PAGE_TABLES;
    state.segments[segment::CS].attributes = abi::guest::CODE_ATTRIBUTES;
    state
}

fn refused(change: impl FnOnce(&mut System)) -> Option<InvalidField> {
    let mut state = long_mode();
    change(&mut state);
    state.check(&limits()).err()
}

#[test]
fn reset_and_the_entry_of_a_small_guest_are_accepted() {
    assert_eq!(System::reset().check(&limits()), Ok(()));
    assert_eq!(long_mode().check(&limits()), Ok(()));
    assert_eq!(Msrs::reset().check(&limits()), Ok(()));
}

#[test]
fn what_vmrun_refuses_is_refused() {
    assert_eq!(refused(|s| s.cr0 |= 1 << 32), Some(InvalidField::Cr0));
    assert_eq!(refused(|s| s.cr0 |= CR0_NW), Some(InvalidField::Cr0));
    assert_eq!(refused(|s| s.cr0 &= !CR0_PE), Some(InvalidField::Cr0));
    assert_eq!(refused(|s| s.cr3 |= 1 << 52), Some(InvalidField::Cr3));
    assert_eq!(refused(|s| s.cr4 |= 1 << 13), Some(InvalidField::Cr4));
    assert_eq!(refused(|s| s.cr4 &= !CR4_PAE), Some(InvalidField::Cr4));
    assert_eq!(refused(|s| s.efer |= EFER_SVME), Some(InvalidField::Efer));
    assert_eq!(refused(|s| s.efer |= 1 << 1), Some(InvalidField::Efer));
    assert_eq!(refused(|s| s.efer &= !EFER_LMA), Some(InvalidField::Efer));
    assert_eq!(refused(|s| s.cr0 &= !CR0_PG), Some(InvalidField::Efer));
    assert_eq!(refused(|s| s.dr[4] |= 1 << 40), Some(InvalidField::Debug));
    assert_eq!(refused(|s| s.dr[5] |= 1 << 40), Some(InvalidField::Debug));
    assert_eq!(
        refused(|s| s.segments[segment::CS].attributes |= CODE_DEFAULT_BIG),
        Some(InvalidField::Segment)
    );
    assert_eq!(refused(|s| s.cpl = 4), Some(InvalidField::Cpl));
    assert_eq!(refused(|s| s.cr8 = 16), Some(InvalidField::Cr8));
    assert_eq!(refused(|s| s.segments[segment::GS].base = 1 << 60), Some(InvalidField::Segment));
    assert_eq!(refused(|s| s.segments[segment::IDTR].base = 1 << 60), Some(InvalidField::Segment));
}

#[test]
fn every_single_stray_bit_of_the_control_registers_is_judged_without_panic() {
    for bit in 0..64 {
        let flip = 1u64 << bit;
        let high = bit >= 32;
        assert!(!high || refused(|s| s.cr0 ^= flip).is_some(), "cr0 {bit}");
        assert!(!high || refused(|s| s.cr4 ^= flip).is_some(), "cr4 {bit}");
        assert!(bit < 15 || refused(|s| s.efer ^= flip).is_some(), "efer {bit}");
        assert!(bit < 40 || refused(|s| s.cr3 ^= flip).is_some(), "cr3 {bit}");
        assert!(bit < 10 || refused(|s| s.xcr0 ^= flip).is_some(), "xcr0 {bit}");
    }
}

#[test]
fn xcr0_takes_what_xsetbv_takes() {
    let limits = Limits { xcr0: 0x2e7, ..limits() };
    let taken: [u64; 7] = [1, 3, 7, 0xe7, 0x201, 0x203, 0x2e7];
    for value in 0..0x400 {
        let plausible = taken.contains(&value) || value == 0x207;
        assert_eq!(xcr0_is_valid(value, &limits), plausible, "{value:x}");
    }
    let without = Limits { xcr0: 0, ..limits };
    assert!(xcr0_is_valid(1, &without) && !xcr0_is_valid(3, &without));
}

#[test]
fn msrs_that_would_fault_are_refused() {
    let check = |change: fn(&mut Msrs)| {
        let mut msrs = Msrs::reset();
        change(&mut msrs);
        msrs.check(&limits()).err()
    };
    assert_eq!(check(|m| m.lstar = 1 << 62), Some(InvalidField::Address));
    assert_eq!(check(|m| m.sysenter_eip = 1 << 62), Some(InvalidField::Address));
    assert_eq!(check(|m| m.sfmask = 1 << 32), Some(InvalidField::Address));
    assert_eq!(check(|m| m.pat = 2), Some(InvalidField::Pat));
    assert_eq!(check(|m| m.tsc_aux = 1 << 32), Some(InvalidField::TscAux));
    assert_eq!(check(|m| m.tsc_offset = u64::MAX), None);
}

#[test]
fn rflags_keep_only_what_exists() {
    assert_eq!(rflags(0), 2);
    assert_eq!(rflags(u64::MAX), 0x3f_7fd7);
}

#[test]
fn cet_comes_with_write_protection_only() {
    let limits = Limits { cr4: limits().cr4 | 1 << 23, ..limits() };
    let mut state = System::reset();
    state.cr4 |= 1 << 23;
    assert_eq!(state.check(&limits), Err(InvalidField::Cr4));
    state.cr0 |= 1 << 16;
    assert_eq!(state.check(&limits), Ok(()));
}
