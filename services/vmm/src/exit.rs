// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer to every exit of a vCPU.
//!
//! Owns the dispatch from an exit to the device, the policy or the exception that answers it, so
//! that the vCPU can go on. What concerns the VM as a whole (a halt, a hypercall, its end) comes
//! out as an [`Outcome`] for [`crate::machine`]. A guest can reach every line here with any values:
//! there is an answer to all of them.

mod processor;
mod site;

use site::Answer;
pub use site::{Crash, Outcome, Site};

use crate::device::board::Board;
use crate::hypercall::{self, Call};
use crate::instruction::memory_access::{self, Bus};
use crate::instruction::string_io::{self, Ports};
use crate::instruction::{Expected, Problem};
use crate::translate::TranslateError;
use crate::vcpu::{advance, is_64bit, raise, raise_with_code, vector};
use abi::vcpu::{Exit, access, event, gpr, group, instruction};

/// Answers the exit in the vCPU's page.
pub fn handle(site: &mut Site) -> Outcome {
    let page = site.vcpu.page();
    let info = page.info;
    let answer = match Exit::from_number(page.exit) {
        Exit::None | Exit::Kicked | Exit::Deadline | Exit::Window | Exit::Init => Ok(Outcome::Resume),
        Exit::Notification => Ok(Outcome::Notification),
        Exit::Halt => halt(site),
        Exit::Io => port(site, info),
        Exit::Cpuid => processor::cpuid(site),
        Exit::Msr => processor::msr(site, info[0] != 0),
        Exit::Hypercall => call(site),
        Exit::Memory => memory(site, info[0], info[1]),
        Exit::Xsetbv => processor::set_xcr(site),
        Exit::Instruction => refuse(site, info[0]),
        Exit::Exception => Ok(Outcome::Crash(Crash::Exception(info[0]))),
        Exit::Shutdown => Ok(Outcome::Crash(Crash::Shutdown)),
        Exit::InvalidState => Ok(Outcome::Crash(Crash::InvalidState(info[0]))),
        Exit::TaskSwitch => Ok(Outcome::Crash(Crash::TaskSwitch)),
        Exit::Unknown => Ok(Outcome::Crash(Crash::Unknown(info[0], info[1], info[2]))),
    };
    answer.unwrap_or_else(|problem| solve(site, problem))
}

/// What becomes of an instruction that could not be carried out.
fn solve(site: &mut Site, problem: Problem) -> Outcome {
    match problem {
        Problem::Translate(TranslateError::Fault { address, code }) => {
            if site.vcpu.export(group::SYSTEM).is_ok() {
                let page = site.vcpu.page();
                page.cr2 = address;
                page.dirty |= group::SYSTEM;
                raise_with_code(page, vector::PAGE_FAULT, code);
            }
            Outcome::Resume
        }
        Problem::Translate(TranslateError::Outside(address)) => Outcome::Crash(Crash::Outside(address)),
        Problem::Invalid => {
            raise(site.vcpu.page(), vector::INVALID_OPCODE);
            Outcome::Resume
        }
        Problem::Changed => Outcome::Resume,
        Problem::Unsupported(code) => {
            raise(site.vcpu.page(), vector::INVALID_OPCODE);
            Outcome::Undefined(code)
        }
    }
}

fn halt(site: &mut Site) -> Answer {
    site.skip(Expected::Halt)?;
    Ok(Outcome::Halt)
}

fn call(site: &mut Site) -> Answer {
    site.skip(Expected::Hypercall)?;
    let call = hypercall::decode(site.vcpu.page(), site.token);
    if let Call::Refused(status) = call {
        hypercall::answer(site.vcpu.page(), status, None);
        return Ok(Outcome::Resume);
    }
    Ok(Outcome::Call(call))
}

struct BoardPorts<'a> {
    board: &'a mut Board,
    now: u64,
}

impl Ports for BoardPorts<'_> {
    fn read(&mut self, port: u16, bytes: usize) -> u32 {
        self.board.read_port(port, bytes as u8, self.now)
    }

    fn write(&mut self, port: u16, bytes: usize, value: u32) {
        self.board.write_port(port, bytes as u8, value, self.now);
    }
}

/// Bits of info1 of [`Exit::Io`].
mod io {
    pub const BYTES: u64 = 7;
    pub const INPUT: u64 = 1 << 8;
    pub const STRING: u64 = 1 << 9;
}

fn port(site: &mut Site, info: [u64; 4]) -> Answer {
    let now = site.now();
    if info[1] & io::STRING != 0 {
        if let Err(error) = site.vcpu.export(group::SYSTEM) {
            return Ok(Outcome::Crash(Crash::Refused(error)));
        }
        let mut ports = BoardPorts { board: site.board, now };
        string_io::perform(site.memory, site.vcpu.page(), &mut ports)?;
        return Ok(Outcome::Resume);
    }
    let (port, bytes) = (info[0] as u16, (info[1] & io::BYTES) as u8);
    let page = site.vcpu.page();
    let rax = &mut page.gpr[gpr::RAX];
    if info[1] & io::INPUT == 0 {
        site.board.write_port(port, bytes, *rax as u32, now);
    } else {
        let value = u64::from(site.board.read_port(port, bytes, now));
        *rax = match bytes {
            1 => *rax & !0xff | value & 0xff,
            2 => *rax & !0xffff | value & 0xffff,
            _ => value,
        };
    }
    advance(page, info[2]);
    Ok(Outcome::Resume)
}

struct BoardBus<'a> {
    board: &'a mut Board,
    cpu: usize,
    now: u64,
}

impl Bus for BoardBus<'_> {
    fn read(&mut self, address: u64, bytes: usize) -> u64 {
        self.board.read_memory(self.cpu, address, bytes as u8, self.now)
    }

    fn write(&mut self, address: u64, bytes: usize, value: u64) {
        self.board.write_memory(self.cpu, address, bytes as u8, value, self.now);
    }
}

fn memory(site: &mut Site, address: u64, kind: u64) -> Answer {
    if address < site.memory.size() {
        return Ok(Outcome::Crash(Crash::Unmapped(address)));
    }
    let delivering = site.vcpu.page().pending_event & event::VALID != 0;
    if delivering || kind & (access::FETCH | access::TABLE) != 0 {
        return Ok(Outcome::Crash(Crash::Outside(address)));
    }
    if !is_64bit(site.vcpu.page())
        && let Err(error) = site.vcpu.export(group::SYSTEM)
    {
        return Ok(Outcome::Crash(Crash::Refused(error)));
    }
    let now = site.now();
    let mut bus = BoardBus { board: site.board, cpu: site.cpu, now };
    memory_access::perform(site.memory, site.vcpu.page(), address, &mut bus)?;
    Ok(Outcome::Resume)
}

fn refuse(site: &mut Site, which: u64) -> Answer {
    match which {
        instruction::INVD => site.skip(Expected::Invalidate)?,
        instruction::RDPMC => return site.general_protection(),
        _ => raise(site.vcpu.page(), vector::INVALID_OPCODE),
    }
    Ok(Outcome::Resume)
}
