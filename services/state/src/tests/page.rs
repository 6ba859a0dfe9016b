// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared page and the record hold the same state.

use abi::vcpu::{Segment, VcpuPage, XSAVE_BYTES, event, group};

use std::string::{String, ToString};

use super::{paths, vcpu};
use crate::record::Value;
use crate::{Bytes, Vcpu};

/// Offset of XSTATE_BV.
const PRESENT: usize = 512;

pub(super) fn blank() -> VcpuPage {
    VcpuPage {
        dirty: 0,
        want: 0,
        deadline: 0,
        inject: 0,
        want_window: 0,
        exit: 0,
        info: [0; 4],
        pending_event: 0,
        interruptible: 0,
        interrupt_shadow: 0,
        exit_tsc: 0,
        reserved0: [0; 2],
        gpr: [0; 16],
        rip: 0,
        rflags: 0,
        cr0: 0,
        cr2: 0,
        cr3: 0,
        cr4: 0,
        cr8: 0,
        efer: 0,
        xcr0: 0,
        cpl: 0,
        dr: [0; 6],
        segments: [Segment::default(); 10],
        star: 0,
        lstar: 0,
        cstar: 0,
        sfmask: 0,
        kernel_gs_base: 0,
        sysenter_cs: 0,
        sysenter_esp: 0,
        sysenter_eip: 0,
        pat: 0,
        tsc_aux: 0,
        tsc_offset: 0,
        reserved1: [0; 49],
        xsave: [0; XSAVE_BYTES],
    }
}

fn from_page(page: &VcpuPage, now: u64) -> Vcpu {
    let mut vcpu = Vcpu::default();
    vcpu.take_page(page, now);
    vcpu
}

#[test]
fn a_vcpu_comes_back_from_a_page_as_it_went() {
    let saved = Vcpu { cr2: 5, kernel_gs_base: 6, tsc_aux: 7, r15: 8, interrupt_shadow: true, ..vcpu() };
    let mut page = blank();
    saved.to_page(&mut page, 1_000_000);
    assert_eq!(page.dirty, group::ALL);
    let back = from_page(&page, 1_000_000);
    let (kept, rest) = saved.xsave.0.split_at(back.xsave.0.len());
    assert_eq!((kept, rest.iter().all(|byte| *byte == 0)), (&back.xsave.0[..], true));
    assert_eq!(Vcpu { xsave: Bytes::default(), ..back }, Vcpu { xsave: Bytes::default(), ..saved });
}

/// A field that one of the two directions forgets does not come back.
#[test]
fn each_single_field_of_a_vcpu_comes_back_from_a_page() {
    for path in paths(&vcpu()).into_iter().filter(|path| path != "xsave") {
        let mut changed = vcpu();
        let texts = match path.as_str() {
            "event" => [(event::VALID | 0x20).to_string(), String::new()],
            _ => ["3".to_string(), "true".to_string()],
        };
        assert!(texts.iter().any(|text| changed.set(&path, text).is_ok()), "{path}");
        assert!(changed != vcpu(), "{path}");
        let mut page = blank();
        changed.to_page(&mut page, 1000);
        let mut back = from_page(&page, 1000);
        (back.index, back.activity, back.xsave) = (changed.index, changed.activity, changed.xsave.clone());
        assert!(back == changed, "{path}");
    }
}

#[test]
fn zeros_at_the_end_of_an_xsave_area_are_not_saved() {
    for (last, length) in [(0, 576), (575, 576), (576, 584), (900, 904), (XSAVE_BYTES - 1, XSAVE_BYTES)] {
        let mut page = blank();
        page.xsave[PRESENT] = 7;
        page.xsave[last] = 1;
        let saved = from_page(&page, 0);
        assert_eq!(saved.xsave.0.len(), length);
        let mut again = blank();
        again.xsave.fill(0xff);
        saved.to_page(&mut again, 0);
        assert_eq!(again.xsave, page.xsave);
    }
}

#[test]
fn what_the_header_calls_absent_is_not_saved() {
    let mut page = blank();
    page.xsave.fill(1);
    page.xsave[PRESENT..PRESENT + 8].copy_from_slice(&3_u64.to_le_bytes());
    let saved = from_page(&page, 0);
    assert_eq!(saved.xsave.0.len(), 576);
    assert_eq!(saved.to_page(&mut page, 0) & group::FPU, 0, "nor is it of any other use");
    page.xsave[PRESENT] = 7;
    assert_eq!(from_page(&page, 0).xsave.0.len(), XSAVE_BYTES);
    assert_eq!(saved.to_page(&mut page, 0) & group::FPU, group::FPU);
    assert!(page.xsave[576..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_guests_clock_goes_on_where_it_stood() {
    let mut page = blank();
    Vcpu { tsc: 500, ..vcpu() }.to_page(&mut page, 90_000);
    assert_eq!(90_000u64.wrapping_add(page.tsc_offset), 500);
    assert_eq!(from_page(&page, 90_100).tsc, 600);
}

#[test]
fn an_event_cut_short_is_kept_and_a_stale_one_is_not() {
    let mut page = blank();
    page.pending_event = event::VALID | 0x31;
    assert_eq!(from_page(&page, 0).event, event::VALID | 0x31);
    page.pending_event = 0x340;
    assert_eq!(from_page(&page, 0).event, 0);
}

#[test]
fn a_short_or_long_xsave_area_stays_within_the_page() {
    let mut page = blank();
    page.xsave.fill(0xff);
    Vcpu { xsave: Bytes(std::vec![1; 8]), ..vcpu() }.to_page(&mut page, 0);
    assert_eq!((page.xsave[7], page.xsave[8]), (1, 0));
    Vcpu { xsave: Bytes(std::vec![1; 9000]), ..vcpu() }.to_page(&mut page, 0);
}

#[test]
fn only_the_groups_that_differ_need_to_be_imported() {
    let mut page = blank();
    let before = Vcpu { xsave: Bytes(std::vec![1; 600]), ..vcpu() };
    assert_eq!(before.to_page(&mut page, 0), group::ALL);
    assert_eq!(before.to_page(&mut page, 0), 0);
    let shadow = Vcpu { interrupt_shadow: true, ..before.clone() };
    let cases = [
        (Vcpu { r15: 1, ..before.clone() }, group::BASIC),
        (Vcpu { rip: 1, ..before.clone() }, group::BASIC),
        (Vcpu { dr7: 1, ..before.clone() }, group::SYSTEM),
        (Vcpu { cr8: 1, ..before.clone() }, group::SYSTEM),
        (Vcpu { idtr: crate::Segment { base: 1, ..before.idtr.clone() }, ..before.clone() }, group::SYSTEM),
        (Vcpu { tsc: 1, ..before.clone() }, group::MSRS),
        (Vcpu { xsave: Bytes(std::vec![1; 592]), ..before.clone() }, group::FPU),
        (Vcpu { xsave: Bytes(std::vec![1; 608]), ..before.clone() }, group::FPU),
        (shadow.clone(), group::SYSTEM),
    ];
    for (number, (other, groups)) in cases.into_iter().enumerate() {
        assert_eq!(other.to_page(&mut page, 0), groups, "{number}");
        before.to_page(&mut page, 0);
    }
    shadow.to_page(&mut page, 0);
    let on = Vcpu { rip: 1, ..shadow };
    assert_eq!(on.to_page(&mut page, 0), group::BASIC | group::SYSTEM, "or the shadow would end");
}
