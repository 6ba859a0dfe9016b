// SPDX-License-Identifier: MIT OR Apache-2.0
//! The registers that VMRUN leaves alone: FPU, DR0 to DR3, XCR0, `TSC_AUX`.
//!
//! They stay a guest's between its exits, because neither the core nor a user thread uses them
//! (CR0.TS is set in user mode; #VMEXIT switches breakpoints off). They change hands when another
//! vCPU runs on this CPU. Which CPU holds them is noted on both sides: [`Cpu::owner`] and `home` in
//! the private page.

use super::cpu::{self, Cpu, with_fpu};
use super::pages::{Pages, PrivatePage};
use crate::msr;
use core::arch::asm;
use core::sync::atomic::Ordering::{Acquire, Release};
use vcpu::fpu::{HEADER_OFFSET, LEGACY};
use vcpu::limits::Limits;

const TSC_AUX: u32 = 0xc000_0103;

/// Puts the registers of a vCPU onto this CPU, if they are not there already.
#[inline]
pub fn load_fpu(cpu: &Cpu, pages: &Pages) {
    if !is_loaded(cpu, pages) {
        switch(cpu, Some(pages));
    }
}

/// Takes the registers of a vCPU off this CPU, if they are there.
pub fn evict_fpu(cpu: &Cpu, pages: &Pages) {
    if is_loaded(cpu, pages) {
        switch(cpu, None);
    }
}

/// Takes the registers of whatever vCPU they belong to off this CPU.
pub fn evict_any(cpu: &Cpu) {
    if cpu.owner.get().is_some() {
        switch(cpu, None);
    }
}

/// CPU that holds the registers of a vCPU. Only there may it run, be exported or imported, until
/// `evict_fpu` there.
#[must_use]
pub fn fpu_home(pages: &Pages) -> Option<usize> {
    (pages.private.home.load(Acquire) as usize).checked_sub(1)
}

/// Drops the registers of a vCPU that dies, wherever they are. All other CPUs have to be stopped.
pub fn forget_fpu(pages: &Pages) {
    if let Some(cpu) = fpu_home(pages).and_then(cpu::other) {
        cpu.owner.set(None);
    }
    pages.private.home.store(0, Release);
}

pub(super) fn is_loaded(cpu: &Cpu, pages: &Pages) -> bool {
    cpu.owner.get().is_some_and(|owner| owner.vmcb_phys == pages.vmcb_phys)
}

/// Copies the registers into the private page; they stay loaded.
pub(super) fn save(cpu: &Cpu, page: &PrivatePage) {
    let limits = cpu.limits();
    with_fpu(|| save_area(limits, page));
    for (cell, value) in page.dr.iter().zip(read_breakpoints()) {
        cell.set(value);
    }
}

/// DR0 to DR3.
pub(super) fn read_breakpoints() -> [u64; 4] {
    let mut dr = [0; 4];
    // SAFETY: reads registers that every processor has.
    unsafe {
        asm!(
            "mov {0}, dr0", "mov {1}, dr1", "mov {2}, dr2", "mov {3}, dr3",
            out(reg) dr[0], out(reg) dr[1], out(reg) dr[2], out(reg) dr[3],
            options(nomem, nostack)
        );
    }
    dr
}

#[cold]
#[inline(never)]
fn switch(cpu: &Cpu, next: Option<&Pages>) {
    if let Some(owner) = cpu.owner.take() {
        save(cpu, owner.private);
        owner.private.home.store(0, Release);
    }
    let Some(pages) = next else { return };
    let page = pages.private;
    assert!(page.home.load(Acquire) == 0, "a vCPU runs while another CPU holds its registers");
    let limits = cpu.limits();
    with_fpu(|| restore_area(limits, page));
    write_breakpoints(&page.dr);
    if limits.tsc_aux {
        // SAFETY: the register exists, takes what has been checked, and concerns nothing but
        // itself.
        unsafe { msr::write(TSC_AUX, page.tsc_aux.get()) };
    }
    page.home.store(cpu.index.get() + 1, Release);
    cpu.owner.set(Some(*pages));
}

fn save_area(limits: &Limits, page: &PrivatePage) {
    let area = page.xsave.as_ptr();
    if limits.xcr0 == 0 {
        // SAFETY: the area has 512 bytes and more, is aligned to a page and made of cells; the FPU
        // is enabled.
        unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
        page.xsave[HEADER_OFFSET / 8].set(LEGACY);
        return;
    }
    set_xcr0(limits.xcr0);
    // SAFETY: the area is aligned to a page and made of cells; the FPU and XSAVE are enabled, and
    // every component in the limits ends within the area.
    unsafe {
        asm!("xsave64 [{}]", in(reg) area, in("eax") limits.xcr0 as u32, in("edx") 0, options(nostack));
    }
    set_xcr0(page.xcr0.get());
}

fn restore_area(limits: &Limits, page: &PrivatePage) {
    let area = page.xsave.as_ptr();
    // SAFETY: the FPU is enabled. Some processors keep the last instruction's addresses over a
    // restore; FNINIT clears them, so that one guest does not see another's.
    unsafe { asm!("fninit", options(nostack)) };
    if limits.xcr0 == 0 {
        // SAFETY: the area is what FXSAVE wrote or what `vcpu::fpu` accepted, so nothing in it
        // faults.
        unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) };
        return;
    }
    set_xcr0(limits.xcr0);
    // SAFETY: the area is what XSAVE wrote or what `vcpu::fpu` accepted, so nothing in it faults;
    // the FPU and XSAVE are enabled, with all components of the limits in XCR0.
    unsafe {
        asm!("xrstor64 [{}]", in(reg) area, in("eax") limits.xcr0 as u32, in("edx") 0, options(nostack));
    }
    set_xcr0(page.xcr0.get());
}

fn set_xcr0(value: u64) {
    // SAFETY: values come from the limits, or have been checked against them; CR4.OSXSAVE is set
    // where the limits allow any.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack));
    }
}

fn write_breakpoints(dr: &[core::cell::Cell<u64>; 4]) {
    // SAFETY: every value is one; the breakpoints are off in the host, whose DR7 every #VMEXIT
    // resets.
    unsafe {
        asm!(
            "mov dr0, {0}", "mov dr1, {1}", "mov dr2, {2}", "mov dr3, {3}",
            in(reg) dr[0].get(), in(reg) dr[1].get(), in(reg) dr[2].get(), in(reg) dr[3].get(),
            options(nomem, nostack)
        );
    }
}
