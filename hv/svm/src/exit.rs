// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the processor's exit codes mean.
//!
//! Total: every code means something, an unknown one [`Exit::Unknown`]. APM vol. 2, appendix C.

use abi::vcpu::{Exit, access, event, instruction};
use vcpu::exit::Cause;

/// An exit as the processor reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawExit {
    /// EXITCODE.
    pub code: u64,
    /// EXITINFO1.
    pub info1: u64,
    /// EXITINFO2.
    pub info2: u64,
}

impl RawExit {
    /// The exit of a vCPU whose state was refused before the processor saw it.
    #[must_use]
    pub const fn refused(field: vcpu::InvalidField) -> Self {
        Self { code: INVALID as u64, info1: field as u64, info2: 0 }
    }
}

/// Low half of VMEXIT_INVALID: emulators disagree about the high half.
const INVALID: u32 = u32::MAX;

const EXCEPTION: u64 = 0x40;
const DEBUG: u64 = EXCEPTION + 1;
const ALIGNMENT: u64 = EXCEPTION + 17;
const INTR: u64 = 0x60;
const NMI: u64 = 0x61;
const SMI: u64 = 0x62;
const INIT: u64 = 0x63;
const VINTR: u64 = 0x64;
const RDPMC: u64 = 0x6f;
const CPUID: u64 = 0x72;
const RSM: u64 = 0x73;
const INVD: u64 = 0x76;
const HLT: u64 = 0x78;
const INVLPGA: u64 = 0x7a;
const IOIO: u64 = 0x7b;
const MSR: u64 = 0x7c;
const TASK_SWITCH: u64 = 0x7d;
const SHUTDOWN: u64 = 0x7f;
const VMRUN: u64 = 0x80;
const VMMCALL: u64 = 0x81;
const VMLOAD: u64 = 0x82;
const SKINIT: u64 = 0x86;
const WBINVD: u64 = 0x89;
const MONITOR: u64 = 0x8a;
const MWAIT: u64 = 0x8b;
const MWAIT_ARMED: u64 = 0x8c;
const XSETBV: u64 = 0x8d;
const RDPRU: u64 = 0x8e;
const NPF: u64 = 0x400;

/// What an exit means.
#[must_use]
pub const fn decode(raw: &RawExit) -> Cause {
    if raw.code as u32 == INVALID {
        return Cause::Guest(Exit::InvalidState, [raw.info1, 0, 0, 0]);
    }
    let (exit, info) = match raw.code {
        INTR => return Cause::HostInterrupt,
        NMI | SMI => return Cause::HostNmi,
        DEBUG => return Cause::Reflect(event::VALID | event::EXCEPTION | 1),
        ALIGNMENT => {
            return Cause::Reflect(event::VALID | event::EXCEPTION | event::HAS_ERROR | 17);
        }
        NPF => return Cause::Memory(raw.info2, access_of(raw.info1)),
        IOIO => (Exit::Io, [raw.info1 >> 16 & 0xffff, io_of(raw.info1), raw.info2, 0]),
        CPUID => (Exit::Cpuid, [0; 4]),
        MSR => (Exit::Msr, [raw.info1 & 1, 0, 0, 0]),
        VMMCALL => (Exit::Hypercall, [0; 4]),
        HLT => (Exit::Halt, [0; 4]),
        VINTR => (Exit::Window, [0; 4]),
        XSETBV => (Exit::Xsetbv, [0; 4]),
        SHUTDOWN => (Exit::Shutdown, [0; 4]),
        INIT => (Exit::Init, [0; 4]),
        TASK_SWITCH => (Exit::TaskSwitch, [raw.info1, raw.info2, 0, 0]),
        INVD | WBINVD => (Exit::Instruction, [instruction::INVD, 0, 0, 0]),
        MONITOR => (Exit::Instruction, [instruction::MONITOR, 0, 0, 0]),
        MWAIT | MWAIT_ARMED => (Exit::Instruction, [instruction::MWAIT, 0, 0, 0]),
        RDPMC => (Exit::Instruction, [instruction::RDPMC, 0, 0, 0]),
        RDPRU => (Exit::Instruction, [instruction::RDPRU, 0, 0, 0]),
        RSM => (Exit::Instruction, [instruction::RSM, 0, 0, 0]),
        INVLPGA | VMRUN | VMLOAD..=SKINIT => (Exit::Instruction, [instruction::VIRTUALIZATION, 0, 0, 0]),
        EXCEPTION..INTR => (Exit::Exception, [raw.code - EXCEPTION, raw.info1, 0, 0]),
        _ => (Exit::Unknown, [raw.code, raw.info1, raw.info2, 0]),
    };
    Cause::Guest(exit, info)
}

/// EXITINFO1 of an I/O exit (APM vol. 2, 15.10.2) as info1 of [`Exit::Io`].
const fn io_of(info1: u64) -> u64 {
    let size = info1 >> 4 & 7;
    let input = info1 & 1;
    let string = info1 >> 2 & 1;
    let rep = info1 >> 3 & 1;
    size | input << 8 | string << 9 | rep << 10
}

/// EXITINFO1 of a nested page fault (APM vol. 2, 15.25.6) as [`access`] bits.
const fn access_of(info1: u64) -> u64 {
    const TABLE_WALK: u64 = 1 << 33;
    let mut bits = info1 & (access::PRESENT | access::WRITE);
    if info1 & 1 << 4 != 0 {
        bits |= access::FETCH;
    }
    if info1 & TABLE_WALK != 0 {
        bits |= access::TABLE;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(code: u64, info1: u64, info2: u64) -> Cause {
        decode(&RawExit { code, info1, info2 })
    }

    #[test]
    fn both_emulators_refusals_are_recognised() {
        for code in [0xffff_ffff, u64::MAX] {
            assert_eq!(raw(code, 0, 0), Cause::Guest(Exit::InvalidState, [0; 4]));
        }
        let refused = RawExit::refused(vcpu::InvalidField::Cr3);
        assert_eq!(decode(&refused), Cause::Guest(Exit::InvalidState, [3, 0, 0, 0]));
    }

    #[test]
    fn an_io_exit_carries_port_size_direction_and_next_rip() {
        // IN AX, 0x3f8; REP OUTSD to 0xffff.
        assert_eq!(raw(0x7b, 0x3f8_0021, 0x1234), Cause::Guest(Exit::Io, [0x3f8, 2 | 1 << 8, 0x1234, 0]));
        let string = 0xffff << 16 | 0x40 | 8 | 4;
        assert_eq!(raw(0x7b, string, 7), Cause::Guest(Exit::Io, [0xffff, 4 | 1 << 9 | 1 << 10, 7, 0]));
    }

    #[test]
    fn a_nested_fault_carries_its_access() {
        assert_eq!(raw(0x400, 0x1_0000_0004, 0x5000), Cause::Memory(0x5000, 0));
        assert_eq!(raw(0x400, 0x1_0000_0007, 0x5000), Cause::Memory(0x5000, access::PRESENT | access::WRITE));
        assert_eq!(raw(0x400, 0x1_0000_0015, 0), Cause::Memory(0, access::PRESENT | access::FETCH));
        assert_eq!(raw(0x400, 0x2_0000_0006, 0), Cause::Memory(0, access::WRITE | access::TABLE));
    }

    #[test]
    fn debug_and_alignment_exceptions_go_back_to_the_guest() {
        for (code, word) in [(0x41, 1 << 31 | 0x301), (0x51, 1 << 31 | 0xb11)] {
            assert_eq!(raw(code, 0, 0), Cause::Reflect(word));
            assert_eq!(vcpu::event::alleged(word), Ok(Some(word)));
        }
    }

    #[test]
    fn every_code_means_something_and_its_own() {
        assert_eq!(raw(0x52, 0, 0), Cause::Guest(Exit::Exception, [18, 0, 0, 0]));
        assert_eq!(raw(0x5f, 0, 0), Cause::Guest(Exit::Exception, [31, 0, 0, 0]));
        assert_eq!(raw(0x8e, 0, 0), Cause::Guest(Exit::Instruction, [instruction::RDPRU, 0, 0, 0]));
        assert_eq!(raw(0x60, 0, 0), Cause::HostInterrupt);
        assert_eq!(raw(0x7f, 0, 0), Cause::Guest(Exit::Shutdown, [0; 4]));
        for code in [0x80, 0x82, 0x83, 0x84, 0x85, 0x86, 0x7a] {
            assert_eq!(
                raw(code, 0, 0),
                Cause::Guest(Exit::Instruction, [instruction::VIRTUALIZATION, 0, 0, 0])
            );
        }
        for code in [0u64, 0x3f, 0x65, 0x87, 0x88, 0x8f, 0x3ff, 0x401, 0x403, 1 << 40] {
            assert_eq!(raw(code, 5, 6), Cause::Guest(Exit::Unknown, [code, 5, 6, 0]));
        }
    }
}
