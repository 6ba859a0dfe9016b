// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUID, RDMSR, WRMSR and XSETBV.
//!
//! Owns the way of their operands between registers, the vCPU's page and the policies in
//! [`crate::platform`].

use super::site::{Answer, Crash, Outcome, Site};
use crate::instruction::Expected;
use crate::platform::cpuid::{self, Processor};
use crate::platform::msr::{self, Register, Registers};
use abi::vcpu::{VcpuPage, gpr, group, segment};

const APIC_ENABLED: u64 = 1 << 11;

pub(super) fn cpuid(site: &mut Site) -> Answer {
    site.skip(Expected::Cpuid)?;
    let base = site.board.devices.apics.get(site.cpu).map_or(0, |apic| apic.base());
    let page = site.vcpu.page();
    let processor = Processor {
        id: site.cpu as u32,
        count: site.board.devices.apics.len() as u32,
        cr4: page.cr4,
        xcr0: page.xcr0,
        apic: base & APIC_ENABLED != 0,
        tsc_khz: site.board.clock.rate().khz(),
    };
    let (leaf, subleaf) = (page.gpr[gpr::RAX] as u32, page.gpr[gpr::RCX] as u32);
    let answer = cpuid::answer(&processor, leaf, subleaf, &site.cpuid);
    page.gpr[gpr::RAX] = answer.eax.into();
    page.gpr[gpr::RBX] = answer.ebx.into();
    page.gpr[gpr::RCX] = answer.ecx.into();
    page.gpr[gpr::RDX] = answer.edx.into();
    Ok(Outcome::Resume)
}

/// EDX:EAX.
fn wide(page: &VcpuPage) -> u64 {
    page.gpr[gpr::RDX] << 32 | page.gpr[gpr::RAX] & 0xffff_ffff
}

/// The group that an MSR's value is in, where it is part of the vCPU's state.
fn group_of(number: u32) -> u64 {
    match number {
        0xc000_0080 | 0xc000_0100 | 0xc000_0101 => group::SYSTEM,
        0x10 | 0x174..=0x176 | 0x277 | 0xc000_0081..=0xc000_0084 | 0xc000_0102 | 0xc000_0103 => group::MSRS,
        _ => 0,
    }
}

pub(super) fn msr(site: &mut Site, write: bool) -> Answer {
    let now = site.now();
    let number = site.vcpu.page().gpr[gpr::RCX] as u32;
    let group = group_of(number);
    if group != 0
        && let Err(error) = site.vcpu.export(group)
    {
        return Ok(Outcome::Crash(Crash::Refused(error)));
    }
    let page = site.vcpu.page();
    let done = if write {
        let value = wide(page);
        msr::write(site.board, site.cpu, number, value, &mut Page(page), now)
    } else {
        msr::read(site.board, site.cpu, number, &Page(page), now).map(|value| {
            page.gpr[gpr::RAX] = value & 0xffff_ffff;
            page.gpr[gpr::RDX] = value >> 32;
        })
    };
    if done.is_err() {
        return site.general_protection();
    }
    // Decoded last: an MSR that refuses must not move RIP, and the instruction itself cannot have
    // changed meanwhile.
    site.skip(if write { Expected::WriteMsr } else { Expected::ReadMsr })?;
    Ok(Outcome::Resume)
}

/// The registers in a vCPU's page.
struct Page<'a>(&'a mut VcpuPage);

impl Registers for Page<'_> {
    fn get(&self, register: Register) -> u64 {
        let page = &*self.0;
        match register {
            Register::Efer => page.efer,
            Register::Pat => page.pat,
            Register::Star => page.star,
            Register::Lstar => page.lstar,
            Register::Cstar => page.cstar,
            Register::Sfmask => page.sfmask,
            Register::FsBase => page.segments[segment::FS].base,
            Register::GsBase => page.segments[segment::GS].base,
            Register::KernelGsBase => page.kernel_gs_base,
            Register::SysenterCs => page.sysenter_cs,
            Register::SysenterEsp => page.sysenter_esp,
            Register::SysenterEip => page.sysenter_eip,
            Register::TscAux => page.tsc_aux,
            Register::TscOffset => page.tsc_offset,
            Register::Cr0 => page.cr0,
        }
    }

    fn set(&mut self, register: Register, value: u64) {
        let page = &mut *self.0;
        let (place, group) = match register {
            Register::Efer => (&mut page.efer, group::SYSTEM),
            Register::Pat => (&mut page.pat, group::MSRS),
            Register::Star => (&mut page.star, group::MSRS),
            Register::Lstar => (&mut page.lstar, group::MSRS),
            Register::Cstar => (&mut page.cstar, group::MSRS),
            Register::Sfmask => (&mut page.sfmask, group::MSRS),
            Register::FsBase => (&mut page.segments[segment::FS].base, group::SYSTEM),
            Register::GsBase => (&mut page.segments[segment::GS].base, group::SYSTEM),
            Register::KernelGsBase => (&mut page.kernel_gs_base, group::MSRS),
            Register::SysenterCs => (&mut page.sysenter_cs, group::MSRS),
            Register::SysenterEsp => (&mut page.sysenter_esp, group::MSRS),
            Register::SysenterEip => (&mut page.sysenter_eip, group::MSRS),
            Register::TscAux => (&mut page.tsc_aux, group::MSRS),
            Register::TscOffset => (&mut page.tsc_offset, group::MSRS),
            Register::Cr0 => return,
        };
        *place = value;
        page.dirty |= group;
    }
}

/// XSETBV of XCR0; what the processor (or the core) would refuse is a general-protection exception.
pub(super) fn set_xcr(site: &mut Site) -> Answer {
    let allowed = cpuid::components(&site.cpuid);
    let page = site.vcpu.page();
    let value = wide(page);
    let refused = page.cpl != 0 || page.gpr[gpr::RCX] as u32 != 0 || value & !allowed != 0 || value & 1 == 0;
    if refused {
        return site.general_protection();
    }
    let old = page.xcr0;
    site.skip(Expected::SetXcr)?;
    if let Err(error) = site.vcpu.export(group::SYSTEM) {
        return Ok(Outcome::Crash(Crash::Refused(error)));
    }
    site.vcpu.page().xcr0 = value;
    if site.vcpu.import(group::SYSTEM).is_err() {
        let page = site.vcpu.page();
        page.xcr0 = old;
        // RIP was not imported: the exception is reported at the instruction.
        site.vcpu.export(group::BASIC).map_err(|_| crate::instruction::Problem::Changed)?;
        site.vcpu.page().dirty = 0;
        return site.general_protection();
    }
    Ok(Outcome::Resume)
}
