// SPDX-License-Identifier: MIT OR Apache-2.0
//! What RDMSR and WRMSR do in a guest.
//!
//! A table: registers of the vCPU ([`Register`], kept by the run loop), those of devices (local
//! APIC, clock), constants that operating systems read without asking first, and for all others a
//! general-protection exception, which is what a processor without them does. Nothing here reaches
//! a real MSR. Agrees with [`super::cpuid`]: a hidden feature has no MSR. Follows SDM vol. 4 and
//! APM vol. 2, appendix A.

use crate::device::board::Board;
use crate::device::lapic::GeneralProtection;

/// An MSR that is part of a vCPU's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// `EFER`.
    Efer,
    /// `PAT`.
    Pat,
    /// `STAR`.
    Star,
    /// `LSTAR`.
    Lstar,
    /// `CSTAR`.
    Cstar,
    /// `SFMASK`.
    Sfmask,
    /// Base of FS.
    FsBase,
    /// Base of GS.
    GsBase,
    /// What SWAPGS brings.
    KernelGsBase,
    /// `SYSENTER_CS`.
    SysenterCs,
    /// `SYSENTER_ESP`.
    SysenterEsp,
    /// `SYSENTER_EIP`.
    SysenterEip,
    /// `TSC_AUX`.
    TscAux,
    /// Guest's TSC minus host's; written when the guest sets its TSC.
    TscOffset,
    /// CR0; only read.
    Cr0,
}

/// The state of the vCPU that executes the instruction.
pub trait Registers {
    /// The value of a register.
    fn get(&self, register: Register) -> u64;
    /// Sets a register. The value has been checked.
    fn set(&mut self, register: Register, value: u64);
}

/// Result of RDMSR and WRMSR.
pub type Outcome<T> = Result<T, GeneralProtection>;

/// EFER: bits that a guest may set.
mod efer {
    pub const SCE: u64 = 1;
    pub const LME: u64 = 1 << 8;
    pub const LMA: u64 = 1 << 10;
    pub const NXE: u64 = 1 << 11;
    pub const ALL: u64 = SCE | LME | LMA | NXE;
}

const CR0_PG: u64 = 1 << 31;
const EFER: u32 = 0xc000_0080;
const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_FIRST: u32 = 0x800;
const X2APIC_LAST: u32 = 0x83f;

/// MSRs that read as a constant; writes vanish.
const CONSTANTS: &[(u32, u64)] = &[
    // Platform id: microcode drivers read it on Intel.
    (0x0000_0017, 0),
    // Microcode: its update trigger, and its revision, as KVM gives it.
    (0x0000_0079, 0),
    (0x0000_008b, 0x0100_0065),
    // MTRRs: no ranges; memory is write-back.
    (0x0000_00fe, 0),
    (0x0000_02ff, 0x806),
    // Machine checks: no banks.
    (0x0000_0179, 0),
    (0x0000_017a, 0),
    // MISC_ENABLE: fast strings.
    (0x0000_01a0, 1),
    // DEBUGCTL and the last branches.
    (0x0000_01d9, 0),
    (0x0000_01db, 0),
    (0x0000_01dc, 0),
    (0x0000_01dd, 0),
    (0x0000_01de, 0),
    // AMD: system configuration; hardware configuration (the TSC counts at the P0 rate); top of
    // memory; bridge; pending interrupts; configuration space; microcode loader; SMM ranges;
    // errata; configuration of units.
    (0xc001_0010, 0),
    (0xc001_0015, 1 << 24),
    (0xc001_001a, 0),
    (0xc001_001d, 0),
    (0xc001_001f, 0),
    (0xc001_0020, 0),
    (0xc001_0055, 0),
    (0xc001_0058, 0),
    (0xc001_0112, 0),
    (0xc001_0113, 0),
    (0xc001_0140, 0),
    (0xc001_0141, 0),
    (0xc001_1004, 0),
    (0xc001_1005, 0),
    (0xc001_100d, 0),
    (0xc001_1020, 0),
    (0xc001_1021, 0),
    (0xc001_1022, 0),
    (0xc001_1023, 0),
    // LFENCE serialises.
    (0xc001_1029, 2),
    (0xc001_102a, 0),
];

/// RDMSR by vCPU `cpu`; `now` is the guest's TSC.
///
/// # Errors
/// [`GeneralProtection`]: inject that exception, with error code 0.
pub fn read(board: &mut Board, cpu: usize, msr: u32, registers: &dyn Registers, now: u64) -> Outcome<u64> {
    let value = lookup(board, cpu, msr, registers, now);
    if value.is_err() {
        board.unclaimed.msrs += 1;
    }
    value
}

/// WRMSR by vCPU `cpu`; `now` is the guest's TSC. The board may have effects afterwards.
///
/// # Errors
/// [`GeneralProtection`]: inject that exception, with error code 0. Nothing has changed.
pub fn write(
    board: &mut Board,
    cpu: usize,
    msr: u32,
    value: u64,
    registers: &mut dyn Registers,
    now: u64,
) -> Outcome<()> {
    let outcome = store(board, (cpu, msr, value), registers, now);
    if outcome.is_err() {
        board.unclaimed.msrs += 1;
    }
    outcome
}

fn lookup(board: &Board, cpu: usize, msr: u32, registers: &dyn Registers, now: u64) -> Outcome<u64> {
    let apic = board.devices.apics.get(cpu).ok_or(GeneralProtection)?;
    match msr {
        TSC => return Ok(now),
        EFER => return Ok(registers.get(Register::Efer) & efer::ALL),
        APIC_BASE => return Ok(apic.base()),
        TSC_DEADLINE => return Ok(apic.deadline_msr()),
        X2APIC_FIRST..=X2APIC_LAST => return apic.read_msr(msr, now),
        _ => {}
    }
    if let Some((register, _)) = plain(msr) {
        return Ok(registers.get(register));
    }
    if let Some(value) = board.devices.pvclock.read_msr(cpu, msr) {
        return Ok(value);
    }
    constant(msr).ok_or(GeneralProtection)
}

fn store(
    board: &mut Board,
    (cpu, msr, value): (usize, u32, u64),
    registers: &mut dyn Registers,
    now: u64,
) -> Outcome<()> {
    let apic = board.devices.apics.get_mut(cpu).ok_or(GeneralProtection)?;
    match msr {
        TSC => {
            let offset = registers.get(Register::TscOffset);
            registers.set(Register::TscOffset, offset.wrapping_add(value.wrapping_sub(now)));
            return Ok(());
        }
        EFER => return write_efer(value, registers),
        APIC_BASE => return apic.set_base(value),
        TSC_DEADLINE => {
            apic.set_deadline_msr(value, now);
            return Ok(());
        }
        X2APIC_FIRST..=X2APIC_LAST => {
            let action = apic.write_msr(msr, value, now)?;
            board.act(cpu, action);
            return Ok(());
        }
        _ => {}
    }
    if let Some((register, check)) = plain(msr) {
        registers.set(register, check.apply(value)?);
        return Ok(());
    }
    if board.write_clock(cpu, msr, value, now) {
        return Ok(());
    }
    constant(msr).map(|_| ()).ok_or(GeneralProtection)
}

/// What a value must be to be held.
#[derive(Clone, Copy)]
enum Check {
    /// Anything.
    Any,
    /// A canonical address.
    Canonical,
    /// 32 bits; the rest is dropped.
    Low,
    /// Eight memory types.
    MemoryTypes,
}

impl Check {
    fn apply(self, value: u64) -> Outcome<u64> {
        let holds = match self {
            Self::Any | Self::Low => true,
            Self::Canonical => (value as i64) << 16 >> 16 == value as i64,
            Self::MemoryTypes => value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
        };
        match (holds, self) {
            (false, _) => Err(GeneralProtection),
            (true, Self::Low) => Ok(value & 0xffff_ffff),
            (true, _) => Ok(value),
        }
    }
}

/// MSRs that are registers of the vCPU and nothing else.
fn plain(msr: u32) -> Option<(Register, Check)> {
    Some(match msr {
        0x174 => (Register::SysenterCs, Check::Low),
        0x175 => (Register::SysenterEsp, Check::Canonical),
        0x176 => (Register::SysenterEip, Check::Canonical),
        0x277 => (Register::Pat, Check::MemoryTypes),
        0xc000_0081 => (Register::Star, Check::Any),
        0xc000_0082 => (Register::Lstar, Check::Canonical),
        0xc000_0083 => (Register::Cstar, Check::Canonical),
        0xc000_0084 => (Register::Sfmask, Check::Low),
        0xc000_0100 => (Register::FsBase, Check::Canonical),
        0xc000_0101 => (Register::GsBase, Check::Canonical),
        0xc000_0102 => (Register::KernelGsBase, Check::Canonical),
        0xc000_0103 => (Register::TscAux, Check::Low),
        _ => return None,
    })
}

/// LMA is the processor's; LME may not change while paging is on (APM vol. 2, 3.1.7).
fn write_efer(value: u64, registers: &mut dyn Registers) -> Outcome<()> {
    let old = registers.get(Register::Efer) & efer::ALL;
    let paging = registers.get(Register::Cr0) & CR0_PG != 0;
    if value & !efer::ALL != 0 || paging && (value ^ old) & efer::LME != 0 {
        return Err(GeneralProtection);
    }
    registers.set(Register::Efer, value & !efer::LMA | old & efer::LMA);
    Ok(())
}

fn constant(msr: u32) -> Option<u64> {
    CONSTANTS.iter().find(|(number, _)| *number == msr).map(|(_, value)| *value)
}

#[cfg(test)]
#[path = "msr_tests.rs"]
mod tests;
