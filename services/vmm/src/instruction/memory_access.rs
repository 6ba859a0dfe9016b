// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loads and stores that met a device (or nothing at all) instead of memory.
//!
//! Owns the execution of one instruction whose memory operand is at a guest-physical address
//! without memory: MOV and its extending forms, arithmetic, XCHG, and STOS, LODS, MOVS. The
//! processor has made its own checks before the exit, so the operand's address is the one that the
//! exit names. Devices are behind [`Bus`].

use super::alu::Operation;
use super::operand::{
    Part, destination_base, get_address, linear, mask, set_address, source_base, string_address_bytes,
};
use super::{Code, Problem, decode};
use crate::memory::{GuestMemory, contains};
use crate::translate::{Access, translate};
use crate::vcpu::{advance, flag};
use abi::vcpu::{VcpuPage, gpr, group};
use iced_x86::{Instruction, Mnemonic, OpKind};

/// What answers at guest-physical addresses without memory.
pub trait Bus {
    /// Reads `bytes` (1, 2, 4 or 8) bytes.
    fn read(&mut self, address: u64, bytes: usize) -> u64;
    /// Writes `bytes` (1, 2, 4 or 8) bytes.
    fn write(&mut self, address: u64, bytes: usize, value: u64);
}

/// Most elements of a string that are moved in one exit.
const MOST_ELEMENTS: u64 = 256;

/// Carries out the instruction at the instruction pointer, whose memory operand is at `address`.
///
/// # Errors
/// [`Problem`], and nothing has changed (of a string, nothing but what was already moved).
pub fn perform(
    memory: &mut dyn GuestMemory,
    page: &mut VcpuPage,
    address: u64,
    bus: &mut dyn Bus,
) -> Result<(), Problem> {
    let (code, instruction) = decode(memory, page)?;
    let bytes = instruction.memory_size().size();
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        return Err(Problem::Unsupported(code));
    }
    match instruction.mnemonic() {
        Mnemonic::Mov => transfer(page, &instruction, address, bus),
        Mnemonic::Movzx => extend(page, &instruction, bus.read(address, bytes)),
        Mnemonic::Movsx | Mnemonic::Movsxd => {
            let unused = 64 - bytes as u32 * 8;
            let value = bus.read(address, bytes);
            extend(page, &instruction, ((value << unused) as i64 >> unused) as u64)
        }
        Mnemonic::Xchg => exchange(page, &instruction, address, bus),
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
            return fill(page, &instruction, address, bus).ok_or(Problem::Unsupported(code));
        }
        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => {
            return copy(memory, page, (code, &instruction), bus);
        }
        other => Operation::of(other).and_then(|operation| {
            let flags = combine(page, &instruction, operation, address, bus)?;
            page.rflags = flags;
            Some(())
        }),
    }
    .ok_or(Problem::Unsupported(code))?;
    advance(page, instruction.next_ip());
    Ok(())
}

/// The value of an operand that is not memory.
fn value_of(page: &VcpuPage, instruction: &Instruction, operand: u32) -> Option<u64> {
    match instruction.op_kind(operand) {
        OpKind::Register => Part::of(instruction.op_register(operand)).map(|part| part.get(page)),
        OpKind::Immediate8
        | OpKind::Immediate16
        | OpKind::Immediate32
        | OpKind::Immediate64
        | OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => Some(instruction.immediate(operand)),
        _ => None,
    }
}

/// MOV in either direction.
fn transfer(page: &mut VcpuPage, instruction: &Instruction, address: u64, bus: &mut dyn Bus) -> Option<()> {
    let bytes = instruction.memory_size().size();
    if instruction.op0_kind() == OpKind::Memory {
        let value = value_of(page, instruction, 1)?;
        bus.write(address, bytes, value & mask(bytes));
    } else {
        let part = Part::of(instruction.op0_register())?;
        part.set(page, bus.read(address, bytes));
    }
    Some(())
}

/// A load into a wider register.
fn extend(page: &mut VcpuPage, instruction: &Instruction, value: u64) -> Option<()> {
    let part = Part::of(instruction.op0_register())?;
    part.set(page, value & mask(part.bytes()));
    Some(())
}

/// XCHG, whose memory operand may be either.
fn exchange(page: &mut VcpuPage, instruction: &Instruction, address: u64, bus: &mut dyn Bus) -> Option<()> {
    let register = if instruction.op0_kind() == OpKind::Memory { 1 } else { 0 };
    let part = Part::of(instruction.op_register(register))?;
    let old = bus.read(address, part.bytes());
    bus.write(address, part.bytes(), part.get(page));
    part.set(page, old);
    Some(())
}

/// Arithmetic and logic; returns the new flags.
fn combine(
    page: &mut VcpuPage,
    instruction: &Instruction,
    operation: Operation,
    address: u64,
    bus: &mut dyn Bus,
) -> Option<u64> {
    let bytes = instruction.memory_size().size();
    if instruction.op0_kind() == OpKind::Memory {
        let right = value_of(page, instruction, 1)?;
        let (result, flags) = operation.apply(bus.read(address, bytes), right, bytes, page.rflags);
        if operation.stores() {
            bus.write(address, bytes, result);
        }
        return Some(flags);
    }
    let part = Part::of(instruction.op0_register())?;
    let (result, flags) =
        operation.apply(part.get(page), bus.read(address, bytes), part.bytes(), page.rflags);
    if operation.stores() {
        part.set(page, result);
    }
    Some(flags)
}

/// How often a string instruction repeats: the count and whether there is one.
fn repetitions(page: &VcpuPage, instruction: &Instruction, address_bytes: usize) -> (u64, bool) {
    let repeats = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    if repeats { (get_address(page, gpr::RCX, address_bytes), true) } else { (1, false) }
}

/// Moves a pointer register past one element.
fn step(page: &mut VcpuPage, index: usize, address_bytes: usize, bytes: usize) {
    let old = get_address(page, index, address_bytes);
    let down = page.rflags & flag::DIRECTION != 0;
    let new = if down { old.wrapping_sub(bytes as u64) } else { old.wrapping_add(bytes as u64) };
    set_address(page, index, address_bytes, new);
}

/// Counts one element; whether the instruction is done.
fn count_down(page: &mut VcpuPage, repeats: bool, address_bytes: usize) -> bool {
    if !repeats {
        return true;
    }
    let left = get_address(page, gpr::RCX, address_bytes).wrapping_sub(1);
    set_address(page, gpr::RCX, address_bytes, left);
    left & mask(address_bytes) == 0
}

/// STOS, as far as the page at `address` goes.
fn fill(page: &mut VcpuPage, instruction: &Instruction, address: u64, bus: &mut dyn Bus) -> Option<()> {
    let address_bytes = string_address_bytes(instruction.op0_kind())?;
    let bytes = instruction.memory_size().size();
    let value = page.gpr[gpr::RAX] & mask(bytes);
    let (count, repeats) = repetitions(page, instruction, address_bytes);
    let down = page.rflags & flag::DIRECTION != 0;
    if count == 0 {
        advance(page, instruction.next_ip());
    }
    let mut at = address;
    for _ in 0..count.min(MOST_ELEMENTS) {
        bus.write(at, bytes, value);
        step(page, gpr::RDI, address_bytes, bytes);
        if count_down(page, repeats, address_bytes) {
            advance(page, instruction.next_ip());
            return Some(());
        }
        at = if down { at.wrapping_sub(bytes as u64) } else { at.wrapping_add(bytes as u64) };
        if at >> 12 != address >> 12 {
            break;
        }
    }
    page.dirty |= group::BASIC;
    Some(())
}

/// MOVS between memory and devices; the rest of a long one is left to the next exit.
fn copy(
    memory: &mut dyn GuestMemory,
    page: &mut VcpuPage,
    (code, instruction): (Code, &Instruction),
    bus: &mut dyn Bus,
) -> Result<(), Problem> {
    let address_bytes = string_address_bytes(instruction.op0_kind()).ok_or(Problem::Unsupported(code))?;
    let bytes = instruction.memory_size().size();
    let (count, repeats) = repetitions(page, instruction, address_bytes);
    page.dirty |= group::BASIC;
    if count == 0 {
        advance(page, instruction.next_ip());
    }
    for _ in 0..count.min(MOST_ELEMENTS) {
        let from = linear(page, source_base(page, instruction), get_address(page, gpr::RSI, address_bytes));
        let to = linear(page, destination_base(page), get_address(page, gpr::RDI, address_bytes));
        if from & 0xfff > 0x1000 - bytes as u64 || to & 0xfff > 0x1000 - bytes as u64 {
            return Err(Problem::Unsupported(code));
        }
        let from = translate(memory, page, from, Access::Read)?;
        let to = translate(memory, page, to, Access::Write)?;
        let value = if contains(memory.size(), from, bytes) {
            let mut content = [0; 8];
            let _ = memory.read(from, &mut content[..bytes]);
            u64::from_le_bytes(content)
        } else {
            bus.read(from, bytes)
        };
        if contains(memory.size(), to, bytes) {
            let _ = memory.write(to, &value.to_le_bytes()[..bytes]);
        } else {
            bus.write(to, bytes, value);
        }
        step(page, gpr::RSI, address_bytes, bytes);
        step(page, gpr::RDI, address_bytes, bytes);
        if count_down(page, repeats, address_bytes) {
            advance(page, instruction.next_ip());
            return Ok(());
        }
    }
    Ok(())
}
