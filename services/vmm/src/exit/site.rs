// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an exit happened, and what the answer to it comes to.

use crate::device::board::Board;
use crate::hypercall::Call;
use crate::instruction::{Code, Expected, Problem, next_rip};
use crate::memory::GuestMemory;
use crate::platform::cpuid::Leaf;
use crate::vcpu::{Vcpu, advance, raise_with_code, vector};
use core::fmt;

/// What an exit means for the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The vCPU can run on.
    Resume,
    /// The vCPU waits for an interrupt.
    Halt,
    /// The monitor is wanted by somebody else.
    Notification,
    /// A program calls; RIP is past the instruction.
    Call(Call),
    /// An instruction on device memory that the monitor does not know; the guest is told that it is
    /// undefined.
    Undefined(Code),
    /// The VM cannot go on.
    Crash(Crash),
}

/// Why a VM cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Triple fault.
    Shutdown,
    /// The processor refused the state; which field.
    InvalidState(u64),
    /// Code, a page table or the target of an event lies where there is no memory.
    Outside(u64),
    /// Memory of the guest is not mapped.
    Unmapped(u64),
    /// A machine check or another exception that is not the guest's.
    Exception(u64),
    /// A task switch through a gate.
    TaskSwitch,
    /// An unknown exit.
    Unknown(u64, u64, u64),
    /// The core refused to run the vCPU.
    Refused(abi::error::Error),
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Crash::Shutdown => f.write_str("triple fault"),
            Crash::InvalidState(field) => write!(f, "the processor refuses its state (field {field})"),
            Crash::Outside(address) => write!(f, "code, table or stack outside of memory, at {address:#x}"),
            Crash::Unmapped(address) => write!(f, "memory at {address:#x} is not mapped"),
            Crash::Exception(MACHINE_CHECK) => f.write_str("machine check"),
            Crash::Exception(vector) => write!(f, "exception {vector}"),
            Crash::TaskSwitch => f.write_str("task switch"),
            Crash::Unknown(code, info1, info2) => write!(f, "exit {code:#x} ({info1:#x}, {info2:#x})"),
            Crash::Refused(error) => write!(f, "the core refuses to run it: {error:?}"),
        }
    }
}

const MACHINE_CHECK: u64 = 18;

/// Where an exit happened, and what it can reach.
pub struct Site<'a> {
    /// Guest memory.
    pub memory: &'a mut dyn GuestMemory,
    /// The vCPU.
    pub vcpu: &'a mut dyn Vcpu,
    /// Its number.
    pub cpu: usize,
    /// All devices.
    pub board: &'a mut Board,
    /// The real processor's CPUID.
    pub cpuid: fn(u32, u32) -> Leaf,
    /// Token of the hypercalls.
    pub token: &'a [u8; 16],
}

/// What the answer to one exit comes to, or why the instruction could not be carried out.
pub(super) type Answer = Result<Outcome, Problem>;

impl Site<'_> {
    /// The guest's TSC at the exit.
    pub(super) fn now(&mut self) -> u64 {
        let page = self.vcpu.page();
        page.exit_tsc.wrapping_add(page.tsc_offset)
    }

    /// Goes on behind the instruction, which is the expected one.
    pub(super) fn skip(&mut self, expected: Expected) -> Result<(), Problem> {
        let next = next_rip(self.memory, self.vcpu.page(), expected)?;
        advance(self.vcpu.page(), next);
        Ok(())
    }

    pub(super) fn general_protection(&mut self) -> Answer {
        raise_with_code(self.vcpu.page(), vector::GENERAL_PROTECTION, 0);
        Ok(Outcome::Resume)
    }
}
