// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU's record and the page that monitor and core share.

use abi::vcpu::{Segment as PageSegment, VcpuPage, event, group, segment};

use crate::record::Bytes;
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

/// An XSAVE area without the zeros at its end, which are put back by whoever reads it.
fn without_end(area: &[u8]) -> &[u8] {
    let (least, components) = area.split_at(XSAVE_LEAST.min(area.len()));
    let words = components.as_chunks::<8>().0;
    let used = words.iter().rposition(|word| *word != [0; 8]).map_or(0, |last| (last + 1) * 8);
    area.get(..least.len() + used).unwrap_or(area)
}

impl Vcpu {
    /// The state in a page to which all groups have been exported, at host TSC `now`. The caller adds index and activity. The event is what
    /// the monitor was about to inject, else what the last exit cut short.
    #[must_use]
    pub fn from_page(page: &VcpuPage, now: u64) -> Self {
        let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = page.gpr;
        let [dr0, dr1, dr2, dr3, dr6, dr7] = page.dr;
        let [es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr] = page.segments.map(Segment::from);
        let pending = [page.inject, page.pending_event].into_iter().find(|event| event & event::VALID != 0);
        #[rustfmt::skip]
        let vcpu = Self {
            rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15,
            dr0, dr1, dr2, dr3, dr6, dr7,
            es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr,
            rip: page.rip,
            rflags: page.rflags,
            cr0: page.cr0,
            cr2: page.cr2,
            cr3: page.cr3,
            cr4: page.cr4,
            cr8: page.cr8,
            efer: page.efer,
            xcr0: page.xcr0,
            cpl: page.cpl as u8,
            star: page.star,
            lstar: page.lstar,
            cstar: page.cstar,
            sfmask: page.sfmask,
            kernel_gs_base: page.kernel_gs_base,
            sysenter_cs: page.sysenter_cs,
            sysenter_esp: page.sysenter_esp,
            sysenter_eip: page.sysenter_eip,
            pat: page.pat,
            tsc_aux: page.tsc_aux,
            tsc: now.wrapping_add(page.tsc_offset),
            interrupt_shadow: page.interrupt_shadow != 0,
            event: pending.unwrap_or(0),
            xsave: Bytes(without_end(&page.xsave).to_vec()),
            ..Self::default()
        };
        vcpu
    }

    /// Put the state into a page, to be imported as a whole at host TSC `now`: every group is marked dirty, the event is to be injected.
    pub fn to_page(&self, page: &mut VcpuPage, now: u64) {
        #[rustfmt::skip]
        let gpr = [
            self.rax, self.rcx, self.rdx, self.rbx, self.rsp, self.rbp, self.rsi, self.rdi,
            self.r8, self.r9, self.r10, self.r11, self.r12, self.r13, self.r14, self.r15,
        ];
        page.gpr = gpr;
        page.rip = self.rip;
        page.rflags = self.rflags;
        page.cr0 = self.cr0;
        page.cr2 = self.cr2;
        page.cr3 = self.cr3;
        page.cr4 = self.cr4;
        page.cr8 = self.cr8;
        page.efer = self.efer;
        page.xcr0 = self.xcr0;
        page.cpl = u64::from(self.cpl);
        page.dr = [self.dr0, self.dr1, self.dr2, self.dr3, self.dr6, self.dr7];
        for (index, from) in self.segments() {
            if let Some(slot) = page.segments.get_mut(index) {
                *slot = PageSegment::from(from);
            }
        }
        self.msrs_to_page(page, now);
        page.interrupt_shadow = u64::from(self.interrupt_shadow);
        page.inject = self.event;
        page.pending_event = 0;
        page.xsave.fill(0);
        for (to, from) in page.xsave.iter_mut().zip(&self.xsave.0) {
            *to = *from;
        }
        page.dirty = group::ALL;
    }

    fn msrs_to_page(&self, page: &mut VcpuPage, now: u64) {
        page.star = self.star;
        page.lstar = self.lstar;
        page.cstar = self.cstar;
        page.sfmask = self.sfmask;
        page.kernel_gs_base = self.kernel_gs_base;
        page.sysenter_cs = self.sysenter_cs;
        page.sysenter_esp = self.sysenter_esp;
        page.sysenter_eip = self.sysenter_eip;
        page.pat = self.pat;
        page.tsc_aux = self.tsc_aux;
        page.tsc_offset = self.tsc.wrapping_sub(now);
    }

    /// The segments, each with its index in the page.
    fn segments(&self) -> [(usize, &Segment); 10] {
        [
            (segment::ES, &self.es),
            (segment::CS, &self.cs),
            (segment::SS, &self.ss),
            (segment::DS, &self.ds),
            (segment::FS, &self.fs),
            (segment::GS, &self.gs),
            (segment::LDTR, &self.ldtr),
            (segment::TR, &self.tr),
            (segment::GDTR, &self.gdtr),
            (segment::IDTR, &self.idtr),
        ]
    }
}
