// SPDX-License-Identifier: MIT OR Apache-2.0
//! State between the control block and the page shared with the VMM.
//!
//! Import reads every field of the groups asked for once, judges them all, and only then puts them
//! in place: either all groups are taken or none.

use super::cpu::Cpu;
use super::fpu;
use super::pages::{Pages, PrivatePage, SharedPage, Word};
use super::run::{export_basic, flush_next};
use super::vmcb::{Vmcb, interrupt_control};
use abi::vcpu::{Segment, gpr, group};
use core::sync::atomic::Ordering::Release;
use vcpu::InvalidField;
use vcpu::fpu::{HEADER_BYTES, HEADER_OFFSET, Header, MXCSR_OFFSET};
use vcpu::limits::EFER_SVME;
use vcpu::state::{self, Msrs, System};

/// Index in the control block of each segment of [`abi::vcpu::segment`].
const SEGMENT_PLACES: [usize; 10] = [0, 1, 2, 3, 4, 5, 7, 9, 6, 8];
const DEFAULT_MXCSR: u64 = 0x1f80;
const DEFAULT_FCW: u64 = 0x37f;

/// Copies groups of state out of the vCPU into its page.
#[inline(never)]
pub fn export(cpu: &Cpu, pages: &Pages, groups: u64) {
    if groups & group::BASIC != 0 {
        export_basic(pages.vmcb, pages.shared);
    }
    if groups & group::SYSTEM != 0 {
        let loaded = fpu::is_loaded(cpu, pages);
        let stored = || core::array::from_fn(|index| pages.private.dr[index].get());
        export_system(pages, if loaded { fpu::read_breakpoints() } else { stored() });
    }
    if groups & group::MSRS != 0 {
        export_msrs(pages);
    }
    if groups & group::FPU != 0 {
        if fpu::is_loaded(cpu, pages) {
            fpu::save(cpu, pages.private);
        }
        export_fpu(pages);
    }
}

/// Copies groups of state from the page into the vCPU.
///
/// # Errors
/// The field that the processor would refuse; then nothing is taken.
#[inline]
pub fn import(cpu: &Cpu, pages: &Pages, groups: u64) -> Result<(), InvalidField> {
    if groups & !group::BASIC & group::ALL != 0 {
        return import_checked(cpu, pages, groups);
    }
    if groups & group::BASIC != 0 {
        import_basic(pages);
    }
    Ok(())
}

/// The way for everything but `BASIC` alone, which is what follows nearly every exit.
#[cold]
#[inline(never)]
fn import_checked(cpu: &Cpu, pages: &Pages, groups: u64) -> Result<(), InvalidField> {
    let shared = pages.shared;
    let limits = cpu.limits();
    let system = (groups & group::SYSTEM != 0).then(|| read_system(shared));
    let msrs = (groups & group::MSRS != 0).then(|| read_msrs(shared));
    let header = (groups & group::FPU != 0).then(|| read_header(&shared.xsave));
    system.as_ref().map_or(Ok(()), |system| system.check(limits))?;
    msrs.as_ref().map_or(Ok(()), |msrs| msrs.check(limits))?;
    header.as_ref().map_or(Ok(()), |header| header.check(limits))?;

    fpu::evict_fpu(cpu, pages);
    if groups & group::BASIC != 0 {
        import_basic(pages);
    }
    if let Some(system) = &system {
        apply_system(pages, system);
        flush_next(pages);
    }
    if let Some(msrs) = &msrs {
        apply_msrs(pages, msrs);
    }
    if let Some(header) = &header {
        apply_fpu(pages, header);
    }
    pages.private.unproven.set(true);
    Ok(())
}

/// Shows the state of a vCPU that has never run.
pub(super) fn export_all_of_new(pages: &Pages) {
    export_basic(pages.vmcb, pages.shared);
    export_system(pages, [0; 4]);
    export_msrs(pages);
    export_fpu(pages);
}

/// The private page of a vCPU that has never run. Its state has to be taken before it runs, so it
/// counts as unproven.
pub(super) fn reset_private(page: &PrivatePage) {
    for word in &page.xsave {
        word.set(0);
    }
    page.xsave[0].set(DEFAULT_FCW);
    page.xsave[MXCSR_OFFSET / 8].set(DEFAULT_MXCSR);
    page.home.store(0, Release);
    page.pending_event.set(0);
    page.unproven.set(true);
}

/// Puts a checked state in place.
pub(super) fn apply_system(pages: &Pages, state: &System) {
    let (vmcb, private) = (pages.vmcb, pages.private);
    vmcb.cr0.set(state.cr0);
    vmcb.cr2.set(state.cr2);
    vmcb.cr3.set(state.cr3);
    vmcb.cr4.set(state.cr4);
    vmcb.efer.set(state.efer | EFER_SVME);
    vmcb.cpl.set(state.cpl as u8);
    vmcb.dr6.set(state.dr[4]);
    vmcb.dr7.set(state.dr[5]);
    let control = vmcb.interrupt_control.get() & !interrupt_control::TPR;
    vmcb.interrupt_control.set(control | state.cr8 as u32);
    vmcb.interrupt_shadow.set(state.interrupt_shadow & 1);
    for (segment, &place) in state.segments.iter().zip(&SEGMENT_PLACES) {
        vmcb.segments[place].low.set(pack(segment));
        vmcb.segments[place].base.set(segment.base);
    }
    for (cell, &value) in private.dr.iter().zip(&state.dr) {
        cell.set(value);
    }
    private.xcr0.set(state.xcr0);
}

/// Puts checked registers in place.
pub(super) fn apply_msrs(pages: &Pages, msrs: &Msrs) {
    let vmcb = pages.vmcb;
    vmcb.star.set(msrs.star);
    vmcb.lstar.set(msrs.lstar);
    vmcb.cstar.set(msrs.cstar);
    vmcb.sfmask.set(msrs.sfmask);
    vmcb.kernel_gs_base.set(msrs.kernel_gs_base);
    vmcb.sysenter_cs.set(msrs.sysenter_cs);
    vmcb.sysenter_esp.set(msrs.sysenter_esp);
    vmcb.sysenter_eip.set(msrs.sysenter_eip);
    vmcb.pat.set(msrs.pat);
    vmcb.tsc_offset.set(msrs.tsc_offset);
    pages.private.tsc_aux.set(msrs.tsc_aux);
}

/// RAX, RSP, RIP and RFLAGS; every value is one. A VMM that moves RIP has completed an instruction,
/// and with it the shadow.
#[inline]
fn import_basic(pages: &Pages) {
    let (vmcb, shared) = (pages.vmcb, pages.shared);
    vmcb.rax.set(shared.gpr[gpr::RAX].get());
    vmcb.rsp.set(shared.gpr[gpr::RSP].get());
    vmcb.rflags.set(state::rflags(shared.rflags.get()));
    let rip = shared.rip.get();
    if vmcb.rip.replace(rip) != rip {
        vmcb.interrupt_shadow.set(0);
    }
}

fn apply_fpu(pages: &Pages, header: &Header) {
    for (cell, word) in pages.private.xsave.iter().zip(&pages.shared.xsave) {
        cell.set(word.get());
    }
    // The page may have changed since these were judged.
    pages.private.xsave[MXCSR_OFFSET / 8].set(header.mxcsr);
    for (cell, &word) in pages.private.xsave[HEADER_OFFSET / 8..].iter().zip(&header.words) {
        cell.set(word);
    }
}

fn export_system(pages: &Pages, breakpoints: [u64; 4]) {
    let (vmcb, shared) = (pages.vmcb, pages.shared);
    export_control(vmcb, shared);
    shared.xcr0.set(pages.private.xcr0.get());
    let dr = breakpoints.into_iter().chain([vmcb.dr6.get(), vmcb.dr7.get()]);
    for (word, value) in shared.dr.iter().zip(dr) {
        word.set(value);
    }
    for ([low, base], &place) in shared.segments.iter().zip(&SEGMENT_PLACES) {
        low.set(vmcb.segments[place].low.get());
        base.set(vmcb.segments[place].base.get());
    }
}

fn export_control(vmcb: &Vmcb, shared: &SharedPage) {
    shared.cr0.set(vmcb.cr0.get());
    shared.cr2.set(vmcb.cr2.get());
    shared.cr3.set(vmcb.cr3.get());
    shared.cr4.set(vmcb.cr4.get());
    shared.cr8.set(u64::from(vmcb.interrupt_control.get() & 0xf));
    shared.efer.set(vmcb.efer.get() & !EFER_SVME);
    shared.cpl.set(u64::from(vmcb.cpl.get()));
    shared.interrupt_shadow.set(vmcb.interrupt_shadow.get() & 1);
}

fn export_msrs(pages: &Pages) {
    let (vmcb, shared) = (pages.vmcb, pages.shared);
    shared.star.set(vmcb.star.get());
    shared.lstar.set(vmcb.lstar.get());
    shared.cstar.set(vmcb.cstar.get());
    shared.sfmask.set(vmcb.sfmask.get());
    shared.kernel_gs_base.set(vmcb.kernel_gs_base.get());
    shared.sysenter_cs.set(vmcb.sysenter_cs.get());
    shared.sysenter_esp.set(vmcb.sysenter_esp.get());
    shared.sysenter_eip.set(vmcb.sysenter_eip.get());
    shared.pat.set(vmcb.pat.get());
    shared.tsc_offset.set(vmcb.tsc_offset.get());
    shared.tsc_aux.set(pages.private.tsc_aux.get());
}

/// By blocks, whose loop is unrolled: this takes part in a machine's standstill.
fn export_fpu(pages: &Pages) {
    let (to, _) = pages.shared.xsave.as_chunks::<8>();
    let (from, _) = pages.private.xsave.as_chunks::<8>();
    for (to, from) in to.iter().zip(from) {
        for (word, cell) in to.iter().zip(from) {
            word.set(cell.get());
        }
    }
}

fn read_system(shared: &SharedPage) -> System {
    System {
        cr0: shared.cr0.get(),
        cr2: shared.cr2.get(),
        cr3: shared.cr3.get(),
        cr4: shared.cr4.get(),
        cr8: shared.cr8.get(),
        efer: shared.efer.get(),
        xcr0: shared.xcr0.get(),
        cpl: shared.cpl.get(),
        dr: core::array::from_fn(|index| shared.dr[index].get()),
        segments: core::array::from_fn(|index| unpack(&shared.segments[index])),
        interrupt_shadow: shared.interrupt_shadow.get(),
    }
}

fn read_msrs(shared: &SharedPage) -> Msrs {
    Msrs {
        star: shared.star.get(),
        lstar: shared.lstar.get(),
        cstar: shared.cstar.get(),
        sfmask: shared.sfmask.get(),
        kernel_gs_base: shared.kernel_gs_base.get(),
        sysenter_cs: shared.sysenter_cs.get(),
        sysenter_esp: shared.sysenter_esp.get(),
        sysenter_eip: shared.sysenter_eip.get(),
        pat: shared.pat.get(),
        tsc_aux: shared.tsc_aux.get(),
        tsc_offset: shared.tsc_offset.get(),
    }
}

fn read_header(area: &[Word]) -> Header {
    const WORDS: usize = HEADER_BYTES / 8;
    let words: [u64; WORDS] = core::array::from_fn(|index| area[HEADER_OFFSET / 8 + index].get());
    Header { mxcsr: area[MXCSR_OFFSET / 8].get(), words }
}

fn pack(segment: &Segment) -> u64 {
    u64::from(segment.selector) | u64::from(segment.attributes) << 16 | u64::from(segment.limit) << 32
}

fn unpack([low, base]: &[Word; 2]) -> Segment {
    let low = low.get();
    Segment {
        selector: low as u16,
        attributes: (low >> 16) as u16,
        limit: (low >> 32) as u32,
        base: base.get(),
    }
}
