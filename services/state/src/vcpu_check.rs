// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is true of every vCPU: what VMRUN would refuse (APM vol. 2, 15.5.1), and what no register
//! can hold.
//!
//! These rules hold on any processor. Which of the features are there on this one is checked by the
//! core at import: on a processor that has them all it takes whatever is taken here
//! (`tests/core.rs`).

use abi::vcpu::{XSAVE_BYTES, event};

use crate::check::{Check, Violation, ensure};
use crate::vcpu::{Activity, Segment, Vcpu};

const CR0_PE: u64 = 1;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
const CR0_BITS: u64 = 0xe005_003f;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const CR4_PCIDE: u64 = 1 << 17;
/// VME to PCE, OSFXSR, OSXMMEXCPT, UMIP, LA57, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE, CET.
const CR4_BITS: u64 = 0x00f7_1fff;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// SCE, LME, LMA, NXE, LMSLE, FFXSR, TCE, and the later ones of the APM; never SVME, which a guest
/// does not have.
const EFER_BITS: u64 = 0x0036_ed01;
const RFLAGS_BITS: u64 = 0x3f_7fd7;
const CODE_LONG: u16 = 1 << 9;
const CODE_DEFAULT_BIG: u16 = 1 << 10;
const XCR0_BITS: u64 = 0x2ff;

impl Check for Vcpu {
    fn check(&self) -> Result<(), Violation> {
        ensure("activity", self.activity <= Activity::WAITING_FOR_STARTUP, "is not known")?;
        self.check_control()?;
        self.check_mode()?;
        self.check_debug()?;
        self.check_segments()?;
        self.check_msrs()?;
        self.check_event()?;
        self.check_xsave()
    }
}

impl Vcpu {
    fn check_control(&self) -> Result<(), Violation> {
        ensure("cr0", self.cr0 & !CR0_BITS == 0, "has bits that do not exist")?;
        ensure("cr0", self.cr0 & (CR0_NW | CR0_CD) != CR0_NW, "has NW without CD")?;
        ensure("cr3", self.cr3 >> 52 == 0, "is no physical address")?;
        ensure("cr4", self.cr4 & !CR4_BITS == 0, "has bits that do not exist")?;
        ensure("cr8", self.cr8 <= 15, "has more than 4 bits")?;
        ensure("cpl", self.cpl <= 3, "has more than 2 bits")?;
        ensure("rflags", self.rflags & !RFLAGS_BITS == 0, "has bits that do not exist")?;
        ensure("rflags", self.rflags & 2 != 0, "lacks the bit that is always set")
    }

    fn check_mode(&self) -> Result<(), Violation> {
        let paging = self.cr0 & CR0_PG != 0;
        ensure("efer", self.efer & !EFER_BITS == 0, "has bits that no guest has")?;
        ensure("cr0", !paging || self.cr0 & CR0_PE != 0, "has paging without protection")?;
        let long = self.efer & EFER_LMA != 0;
        ensure("efer", long == (paging && self.efer & EFER_LME != 0), "LMA is not LME with paging")?;
        ensure("cr4", !long || self.cr4 & CR4_PAE != 0, "long mode needs PAE")?;
        ensure("cr4", long || self.cr4 & CR4_PCIDE == 0, "PCIDE needs long mode")?;
        let both = CODE_LONG | CODE_DEFAULT_BIG;
        ensure("cs.attributes", !long || self.cs.attributes & both != both, "has both L and D in long mode")?;
        let code64 = long && self.cs.attributes & CODE_LONG != 0;
        if code64 {
            let bits = if self.cr4 & CR4_LA57 != 0 { 57 } else { 48 };
            ensure("rip", is_canonical(self.rip, bits), "is not canonical")
        } else {
            ensure("rip", self.rip >> 32 == 0, "has more than 32 bits outside 64-bit code")
        }
    }

    fn check_debug(&self) -> Result<(), Violation> {
        ensure("dr6", self.dr6 >> 32 == 0, "has bits that do not exist")?;
        ensure("dr7", self.dr7 >> 32 == 0, "has bits that do not exist")
    }

    fn check_segments(&self) -> Result<(), Violation> {
        let data = [("es", &self.es), ("cs", &self.cs), ("ss", &self.ss), ("ds", &self.ds)];
        let full = [
            ("fs", &self.fs),
            ("gs", &self.gs),
            ("ldtr", &self.ldtr),
            ("tr", &self.tr),
            ("gdtr", &self.gdtr),
            ("idtr", &self.idtr),
        ];
        for (name, segment) in data.into_iter().chain(full) {
            attributes(segment).map_err(|violation| violation.within(name))?;
        }
        for (name, segment) in full {
            let canonical = ensure("base", is_canonical(segment.base, 57), "is not canonical");
            canonical.map_err(|violation| violation.within(name))?;
        }
        Ok(())
    }

    fn check_msrs(&self) -> Result<(), Violation> {
        let addresses = [
            ("lstar", self.lstar),
            ("cstar", self.cstar),
            ("kernel_gs_base", self.kernel_gs_base),
            ("sysenter_esp", self.sysenter_esp),
            ("sysenter_eip", self.sysenter_eip),
        ];
        for (name, address) in addresses {
            ensure(name, is_canonical(address, 57), "is not canonical")?;
        }
        ensure("sfmask", self.sfmask >> 32 == 0, "has more than 32 bits")?;
        ensure("tsc_aux", self.tsc_aux >> 32 == 0, "has more than 32 bits")?;
        let kinds = self.pat.to_le_bytes();
        ensure(
            "pat",
            kinds.iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
            "has a memory type that does not exist",
        )
    }

    fn check_event(&self) -> Result<(), Violation> {
        if self.event & event::VALID == 0 {
            return ensure("event", self.event == 0, "is there without being valid");
        }
        ensure("event", event::is_injectable(self.event), "is none that can be injected")
    }

    fn check_xsave(&self) -> Result<(), Violation> {
        let wide = self.xcr0 & 0xe0;
        let consistent = self.xcr0 & 1 == 1
            && self.xcr0 & !XCR0_BITS == 0
            && (self.xcr0 & 4 == 0 || self.xcr0 & 2 != 0)
            && (wide == 0 || wide == 0xe0 && self.xcr0 & 4 != 0)
            && matches!(self.xcr0 & 0x18, 0 | 0x18);
        ensure("xcr0", consistent, "is a set of components that XSETBV refuses")?;
        let area = &self.xsave.0;
        ensure("xsave", area.len() <= XSAVE_BYTES, "is too long")?;
        if area.is_empty() {
            return Ok(());
        }
        let (Some(mxcsr), Some([present, reserved @ ..])) = (word32(area, 24), header(area)) else {
            return ensure("xsave", false, "lacks a header");
        };
        ensure("xsave", mxcsr >> 16 == 0, "has bits in MXCSR that do not exist")?;
        ensure("xsave", present & !XCR0_BITS == 0, "has a component that does not exist")?;
        ensure("xsave", reserved == [0; 7], "is not in the standard format, or has reserved bits")
    }
}

fn attributes(segment: &Segment) -> Result<(), Violation> {
    ensure("attributes", segment.attributes >> 12 == 0, "has more than 12 bits")
}

/// Whether the bits of an address from `bits - 1` up are all the same.
fn is_canonical(address: u64, bits: u32) -> bool {
    let shift = 64 - bits;
    ((address << shift) as i64 >> shift) as u64 == address
}

fn word32(area: &[u8], at: usize) -> Option<u32> {
    area.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The header: XSTATE_BV, XCOMP_BV, and six words that are reserved.
fn header(area: &[u8]) -> Option<[u64; 8]> {
    let (words, _) = area.get(512..576)?.as_chunks::<8>();
    words.first_chunk().map(|words: &[[u8; 8]; 8]| words.map(u64::from_le_bytes))
}
