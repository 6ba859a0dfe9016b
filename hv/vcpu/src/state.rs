// SPDX-License-Identifier: MIT OR Apache-2.0
//! States that a VMM may give to a vCPU.
//!
//! Each group is read out of the shared page once into one of these values, checked here, and only
//! then put in place. The checks are those of VMRUN (APM vol. 2, 15.5.1), so that no state ends in
//! VMEXIT_INVALID, and those that keep the core's own register writes (XCR0, DR6, DR7, `TSC_AUX`)
//! from faulting.

use crate::InvalidField;
use crate::limits::{EFER_LMA, EFER_LME, EFER_SVME, Limits};
use abi::vcpu::{Segment, segment};

const CR0_PE: u64 = 1;
const CR0_WP: u64 = 1 << 16;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_PCIDE: u64 = 1 << 17;
const CR4_CET: u64 = 1 << 23;
const CODE_LONG: u16 = 1 << 9;
const CODE_DEFAULT_BIG: u16 = 1 << 10;
/// Attribute bits that exist.
const ATTRIBUTES: u16 = 0xfff;
/// RFLAGS bits that exist; bit 1 is always set.
const RFLAGS: u64 = 0x3f_7fd5;

/// The state of group `SYSTEM`.
#[derive(Clone, Copy, Debug, Default)]
pub struct System {
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8.
    pub cr8: u64,
    /// EFER as the guest sees it.
    pub efer: u64,
    /// XCR0.
    pub xcr0: u64,
    /// Current privilege level.
    pub cpl: u64,
    /// DR0 to DR3, DR6, DR7.
    pub dr: [u64; 6],
    /// In the order of [`abi::vcpu::segment`].
    pub segments: [Segment; 10],
    /// Whether an STI or MOV SS holds interrupts off.
    pub interrupt_shadow: u64,
}

/// The state of group `MSRS`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Msrs {
    /// STAR.
    pub star: u64,
    /// LSTAR.
    pub lstar: u64,
    /// CSTAR.
    pub cstar: u64,
    /// SFMASK.
    pub sfmask: u64,
    /// `KERNEL_GS_BASE`.
    pub kernel_gs_base: u64,
    /// `SYSENTER_CS`.
    pub sysenter_cs: u64,
    /// `SYSENTER_ESP`.
    pub sysenter_esp: u64,
    /// `SYSENTER_EIP`.
    pub sysenter_eip: u64,
    /// PAT.
    pub pat: u64,
    /// `TSC_AUX`.
    pub tsc_aux: u64,
    /// Guest TSC minus host TSC; every value is one.
    pub tsc_offset: u64,
}

/// RFLAGS with the bits that exist.
#[must_use]
pub const fn rflags(alleged: u64) -> u64 {
    alleged & RFLAGS | 2
}

impl System {
    /// The state after INIT or RESET (APM vol. 2, 14.1.3), at the reset vector.
    #[must_use]
    pub const fn reset() -> Self {
        const fn segment(attributes: u16) -> Segment {
            Segment { selector: 0, attributes, limit: 0xffff, base: 0 }
        }
        let mut segments = [segment(0x93); 10];
        segments[segment::CS] =
            Segment { selector: 0xf000, attributes: 0x9b, limit: 0xffff, base: 0xffff_0000 };
        segments[segment::LDTR] = segment(0x82);
        segments[segment::TR] = segment(0x8b);
        segments[segment::GDTR] = segment(0);
        segments[segment::IDTR] = segment(0);
        Self {
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            xcr0: 1,
            cpl: 0,
            dr: [0, 0, 0, 0, 0xffff_0ff0, 0x400],
            segments,
            interrupt_shadow: 0,
        }
    }

    /// Check every field.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn check(&self, limits: &Limits) -> Result<(), InvalidField> {
        ensure(self.cr0 >> 32 == 0 && self.cr0 & (CR0_NW | CR0_CD) != CR0_NW, InvalidField::Cr0)?;
        ensure(self.cr3 & !limits.cr3 == 0, InvalidField::Cr3)?;
        ensure(self.cr4 & !limits.cr4 == 0, InvalidField::Cr4)?;
        // The processor refuses the one without the other (APM vol. 2, 3.1.3).
        ensure(self.cr4 & CR4_CET == 0 || self.cr0 & CR0_WP != 0, InvalidField::Cr4)?;
        ensure(self.cr8 <= 0xf, InvalidField::Cr8)?;
        self.check_mode(limits)?;
        ensure(xcr0_is_valid(self.xcr0, limits), InvalidField::Xcr0)?;
        ensure(self.cpl <= 3, InvalidField::Cpl)?;
        ensure(self.dr[4] >> 32 == 0 && self.dr[5] >> 32 == 0, InvalidField::Debug)?;
        for index in 0..self.segments.len() {
            self.check_segment(index, limits)?;
        }
        Ok(())
    }

    fn check_mode(&self, limits: &Limits) -> Result<(), InvalidField> {
        ensure(self.efer & !limits.efer == 0 && self.efer & EFER_SVME == 0, InvalidField::Efer)?;
        let paging = self.cr0 & CR0_PG != 0;
        let long_enabled = self.efer & EFER_LME != 0;
        let long_active = self.efer & EFER_LMA != 0;
        ensure(long_active == (long_enabled && paging), InvalidField::Efer)?;
        if long_active {
            ensure(self.cr4 & CR4_PAE != 0, InvalidField::Cr4)?;
            ensure(self.cr0 & CR0_PE != 0, InvalidField::Cr0)?;
            let both = CODE_LONG | CODE_DEFAULT_BIG;
            let code = self.segments[segment::CS].attributes;
            ensure(code & both != both, InvalidField::Segment)?;
        } else {
            ensure(self.cr4 & CR4_PCIDE == 0, InvalidField::Cr4)?;
        }
        Ok(())
    }

    fn check_segment(&self, index: usize, limits: &Limits) -> Result<(), InvalidField> {
        let segment = &self.segments[index];
        ensure(segment.attributes & !ATTRIBUTES == 0, InvalidField::Segment)?;
        let base_is_full = !matches!(index, segment::ES | segment::CS | segment::SS | segment::DS);
        ensure(!base_is_full || limits.is_canonical(segment.base), InvalidField::Segment)
    }
}

impl Msrs {
    /// The state after RESET.
    #[must_use]
    pub const fn reset() -> Self {
        Self {
            star: 0,
            lstar: 0,
            cstar: 0,
            sfmask: 0,
            kernel_gs_base: 0,
            sysenter_cs: 0,
            sysenter_esp: 0,
            sysenter_eip: 0,
            pat: 0x0007_0406_0007_0406,
            tsc_aux: 0,
            tsc_offset: 0,
        }
    }

    /// Check every field.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn check(&self, limits: &Limits) -> Result<(), InvalidField> {
        let addresses = [self.lstar, self.cstar, self.kernel_gs_base, self.sysenter_esp, self.sysenter_eip];
        ensure(addresses.iter().all(|&address| limits.is_canonical(address)), InvalidField::Address)?;
        ensure(self.sfmask >> 32 == 0, InvalidField::Address)?;
        ensure(self.pat.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)), InvalidField::Pat)?;
        let tsc_aux_max = if limits.tsc_aux { u64::from(u32::MAX) } else { 0 };
        ensure(self.tsc_aux <= tsc_aux_max, InvalidField::TscAux)
    }
}

/// Whether XSETBV takes this value (APM vol. 2, 11.5.2): x87 always, AVX only with SSE, AVX-512
/// whole and with AVX.
fn xcr0_is_valid(xcr0: u64, limits: &Limits) -> bool {
    const SSE: u64 = 2;
    const AVX: u64 = 4;
    const AVX512: u64 = 0xe0;
    if limits.xcr0 == 0 {
        return xcr0 <= 1;
    }
    let wide = xcr0 & AVX512;
    xcr0 & 1 == 1
        && xcr0 & !limits.xcr0 == 0
        && (xcr0 & AVX == 0 || xcr0 & SSE != 0)
        && (wide == 0 || (wide == AVX512 && xcr0 & AVX != 0))
}

fn ensure(holds: bool, field: InvalidField) -> Result<(), InvalidField> {
    if holds { Ok(()) } else { Err(field) }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
