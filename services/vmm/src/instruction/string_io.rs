// SPDX-License-Identifier: MIT OR Apache-2.0
//! INS and OUTS, with and without repetition.
//!
//! Owns their walk through guest memory. A long one is done in parts: registers say how far it
//! came, and the guest runs into the next exit at the same instruction. The page must hold the
//! group SYSTEM (segment bases).

use super::operand::{
    destination_base, get_address, linear, read_linear, set_address, source_base, string_address_bytes,
    write_linear,
};
use super::{Problem, decode};
use crate::memory::GuestMemory;
use crate::vcpu::{advance, flag};
use abi::vcpu::{VcpuPage, gpr, group};
use iced_x86::{Instruction, Mnemonic};

/// What answers at I/O ports.
pub trait Ports {
    /// Reads `bytes` (1, 2 or 4) bytes.
    fn read(&mut self, port: u16, bytes: usize) -> u32;
    /// Writes `bytes` (1, 2 or 4) bytes.
    fn write(&mut self, port: u16, bytes: usize, value: u32);
}

/// Most elements in one exit.
const MOST_ELEMENTS: u64 = 1024;

/// Direction, and bytes per element.
fn kind(instruction: &Instruction) -> Option<(bool, usize)> {
    Some(match instruction.mnemonic() {
        Mnemonic::Insb => (true, 1),
        Mnemonic::Insw => (true, 2),
        Mnemonic::Insd => (true, 4),
        Mnemonic::Outsb => (false, 1),
        Mnemonic::Outsw => (false, 2),
        Mnemonic::Outsd => (false, 4),
        _ => return None,
    })
}

/// Carries out the INS or OUTS at the instruction pointer.
///
/// # Errors
/// [`Problem`]; the elements before it have been moved, and the registers say so.
pub fn perform(
    memory: &mut dyn GuestMemory,
    page: &mut VcpuPage,
    ports: &mut dyn Ports,
) -> Result<(), Problem> {
    let (code, instruction) = decode(memory, page)?;
    let (input, bytes) = kind(&instruction).ok_or(Problem::Changed)?;
    let operand = if input { instruction.op0_kind() } else { instruction.op1_kind() };
    let address_bytes = string_address_bytes(operand).ok_or(Problem::Unsupported(code))?;
    let repeats = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let count = if repeats { get_address(page, gpr::RCX, address_bytes) } else { 1 };
    let port = page.gpr[gpr::RDX] as u16;
    let (index, base) =
        if input { (gpr::RDI, destination_base(page)) } else { (gpr::RSI, source_base(page, &instruction)) };
    page.dirty |= group::BASIC;
    for _ in 0..count.min(MOST_ELEMENTS) {
        let offset = get_address(page, index, address_bytes);
        let at = linear(page, base, offset);
        if input {
            // The target is tried first, so that a page fault does not lose a byte of the device.
            crate::translate::translate(memory, page, at, crate::translate::Access::Write)?;
            let value = ports.read(port, bytes);
            write_linear(memory, page, at, bytes, u64::from(value))?;
        } else {
            let value = read_linear(memory, page, at, bytes)?;
            ports.write(port, bytes, value as u32);
        }
        let down = page.rflags & flag::DIRECTION != 0;
        let step = bytes as u64;
        let next = if down { offset.wrapping_sub(step) } else { offset.wrapping_add(step) };
        set_address(page, index, address_bytes, next);
        if repeats {
            let left = get_address(page, gpr::RCX, address_bytes).wrapping_sub(1);
            set_address(page, gpr::RCX, address_bytes, left);
        }
    }
    if count <= MOST_ELEMENTS {
        advance(page, instruction.next_ip());
    }
    Ok(())
}
