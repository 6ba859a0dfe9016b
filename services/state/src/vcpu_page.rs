// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU's record and the page that monitor and core share.

use core::ops::Range;

use abi::vcpu::{Segment as PageSegment, VcpuPage, event, group};

use crate::record::blocks;
use crate::vcpu::{Segment, Vcpu};

impl From<PageSegment> for Segment {
    fn from(from: PageSegment) -> Self {
        let PageSegment { selector, attributes, limit, base } = from;
        Self { selector, attributes, limit, base, ..Self::default() }
    }
}

impl From<&Segment> for PageSegment {
    fn from(from: &Segment) -> Self {
        Self { selector: from.selector, attributes: from.attributes, limit: from.limit, base: from.base }
    }
}

/// Legacy region and header: what an area has at least.
const XSAVE_LEAST: usize = 576;

/// XSTATE_BV: the first word of the header.
const PRESENT: Range<usize> = 512..520;
/// x87 and SSE, which lie in the legacy region.
const LEGACY: u64 = 3;

/// Whether an area has something behind its header: what is absent according to the header is in
/// its initial state, and what lies in its place means nothing (SDM vol. 1, 13.8.1).
fn is_extended(area: &[u8]) -> bool {
    let present = area.get(PRESENT).and_then(<[u8]>::as_array);
    present.is_some_and(|bytes| u64::from_le_bytes(*bytes) & !LEGACY != 0)
}

/// An XSAVE area without the zeros at its end, which are put back by whoever reads it.
fn without_end(area: &[u8]) -> &[u8] {
    let (least, components) = area.split_at(XSAVE_LEAST.min(area.len()));
    if !is_extended(least) {
        return least;
    }
    area.get(..least.len() + blocks::used(components)).unwrap_or(area)
}

/// A page that is brought to a state: which groups it takes.
struct Update {
    groups: u64,
}

impl Update {
    fn put<T: PartialEq>(&mut self, group: u64, place: &mut T, value: T) {
        if *place != value {
            *place = value;
            self.groups |= group;
        }
    }

    /// An area that ends early goes on with zeros.
    fn put_area(&mut self, area: &mut [u8], value: &[u8]) {
        let (used, rest) = area.split_at_mut(value.len().min(area.len()));
        let value = value.get(..used.len()).unwrap_or(value);
        let is_same = blocks::are_equal(used, value) && (!is_extended(value) || blocks::is_zero(rest));
        if is_same {
            return;
        }
        used.copy_from_slice(value);
        rest.fill(0);
        self.groups |= group::FPU;
    }
}

impl Vcpu {
    /// Takes the state in a page to which all groups have been exported, at host TSC `now`, in
    /// place of what was here, whose room is used again. The caller sets index and activity. The
    /// event is what the monitor was about to inject, else what the last exit cut short.
    pub fn take_page(&mut self, page: &VcpuPage, now: u64) {
        // Every field is named: a new one does not compile until it is taken, or said to be no
        // state.
        #[rustfmt::skip]
        let VcpuPage {
            dirty: _, want: _, deadline: _, want_window: _, exit: _, info: _, interruptible: _, exit_tsc: _,
            reserved0: _, reserved1: _, inject, pending_event, interrupt_shadow, ref gpr, rip, rflags, cr0, cr2, cr3,
            cr4, cr8, efer, xcr0, cpl, ref dr, ref segments, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs,
            sysenter_esp, sysenter_eip, pat, tsc_aux, tsc_offset, ref xsave,
        } = *page;
        [
            self.rax, self.rcx, self.rdx, self.rbx, self.rsp, self.rbp, self.rsi, self.rdi, self.r8, self.r9,
            self.r10, self.r11, self.r12, self.r13, self.r14, self.r15,
        ] = *gpr;
        [self.dr0, self.dr1, self.dr2, self.dr3, self.dr6, self.dr7] = *dr;
        for (segment, from) in self.segments_mut().into_iter().zip(*segments) {
            *segment = Segment::from(from);
        }
        self.rip = rip;
        self.rflags = rflags;
        self.cr0 = cr0;
        self.cr2 = cr2;
        self.cr3 = cr3;
        self.cr4 = cr4;
        self.cr8 = cr8;
        self.efer = efer;
        self.xcr0 = xcr0;
        self.cpl = cpl as u8;
        self.star = star;
        self.lstar = lstar;
        self.cstar = cstar;
        self.sfmask = sfmask;
        self.kernel_gs_base = kernel_gs_base;
        self.sysenter_cs = sysenter_cs;
        self.sysenter_esp = sysenter_esp;
        self.sysenter_eip = sysenter_eip;
        self.pat = pat;
        self.tsc_aux = tsc_aux;
        self.tsc = now.wrapping_add(tsc_offset);
        self.interrupt_shadow = interrupt_shadow != 0;
        let pending = [inject, pending_event].into_iter().find(|event| event & event::VALID != 0);
        self.event = pending.unwrap_or(0);
        self.xsave.0.clear();
        self.xsave.0.extend_from_slice(without_end(xsave));
    }

    /// Put the state into a page, to be imported at host TSC `now`: every group is marked dirty,
    /// the event is to be injected. Returns the groups in which the page said otherwise; where it
    /// said what the core has, no others need to be imported.
    pub fn to_page(&self, page: &mut VcpuPage, now: u64) -> u64 {
        #[rustfmt::skip]
        let gpr = [
            self.rax, self.rcx, self.rdx, self.rbx, self.rsp, self.rbp, self.rsi, self.rdi,
            self.r8, self.r9, self.r10, self.r11, self.r12, self.r13, self.r14, self.r15,
        ];
        let mut update = Update { groups: 0 };
        for (place, value) in page.gpr.iter_mut().zip(gpr) {
            update.put(group::BASIC, place, value);
        }
        update.put(group::BASIC, &mut page.rip, self.rip);
        update.put(group::BASIC, &mut page.rflags, self.rflags);
        self.system_to_page(page, &mut update);
        self.msrs_to_page(page, now, &mut update);
        update.put_area(&mut page.xsave, &self.xsave.0);
        page.inject = self.event;
        page.pending_event = 0;
        page.dirty = group::ALL;
        update.groups
    }

    fn system_to_page(&self, page: &mut VcpuPage, update: &mut Update) {
        let mut put = |place, value| update.put(group::SYSTEM, place, value);
        put(&mut page.cr0, self.cr0);
        put(&mut page.cr2, self.cr2);
        put(&mut page.cr3, self.cr3);
        put(&mut page.cr4, self.cr4);
        put(&mut page.cr8, self.cr8);
        put(&mut page.efer, self.efer);
        put(&mut page.xcr0, self.xcr0);
        put(&mut page.cpl, u64::from(self.cpl));
        put(&mut page.interrupt_shadow, u64::from(self.interrupt_shadow));
        let dr = [self.dr0, self.dr1, self.dr2, self.dr3, self.dr6, self.dr7];
        for (place, value) in page.dr.iter_mut().zip(dr) {
            put(place, value);
        }
        for (place, from) in page.segments.iter_mut().zip(self.segments()) {
            update.put(group::SYSTEM, place, PageSegment::from(from));
        }
        // To move RIP ends a shadow, unless it is imported as well.
        if self.interrupt_shadow {
            update.groups |= group::SYSTEM;
        }
    }

    fn msrs_to_page(&self, page: &mut VcpuPage, now: u64, update: &mut Update) {
        let mut put = |place, value| update.put(group::MSRS, place, value);
        put(&mut page.star, self.star);
        put(&mut page.lstar, self.lstar);
        put(&mut page.cstar, self.cstar);
        put(&mut page.sfmask, self.sfmask);
        put(&mut page.kernel_gs_base, self.kernel_gs_base);
        put(&mut page.sysenter_cs, self.sysenter_cs);
        put(&mut page.sysenter_esp, self.sysenter_esp);
        put(&mut page.sysenter_eip, self.sysenter_eip);
        put(&mut page.pat, self.pat);
        put(&mut page.tsc_aux, self.tsc_aux);
        put(&mut page.tsc_offset, self.tsc.wrapping_sub(now));
    }

    /// The segments in the order of the page.
    fn segments(&self) -> [&Segment; 10] {
        [
            &self.es, &self.cs, &self.ss, &self.ds, &self.fs, &self.gs, &self.ldtr, &self.tr, &self.gdtr,
            &self.idtr,
        ]
    }

    fn segments_mut(&mut self) -> [&mut Segment; 10] {
        let Self { es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr, .. } = self;
        [es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr]
    }
}
