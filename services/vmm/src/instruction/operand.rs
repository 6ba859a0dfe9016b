// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operands of the guest's instructions: registers of every width, and memory by linear address.
//!
//! Owns the rules for parts of registers (a 32-bit write clears the upper half, an 8- or 16-bit one
//! keeps the rest) and the split of an access over two pages.

use super::Problem;
use crate::memory::GuestMemory;
use crate::translate::{Access, translate};
use crate::vcpu::is_64bit;
use abi::vcpu::{VcpuPage, segment};
use iced_x86::{Instruction, OpKind, Register};

/// A mask of `bytes` bytes.
pub(super) fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (bytes * 8)) - 1 }
}

/// A general register, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    index: usize,
    bytes: usize,
    high: bool,
}

impl Part {
    /// The register as the decoder names it, if it is a general one.
    pub(super) fn of(register: Register) -> Option<Self> {
        let known = register.is_gpr8() || register.is_gpr16() || register.is_gpr32() || register.is_gpr64();
        let index = register.full_register().number();
        let high = matches!(register, Register::AH | Register::CH | Register::DH | Register::BH);
        (known && index < 16).then_some(Self { index, bytes: register.size(), high })
    }

    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    pub(super) fn get(self, page: &VcpuPage) -> u64 {
        let whole = page.gpr[self.index & 15];
        if self.high { whole >> 8 & 0xff } else { whole & mask(self.bytes) }
    }

    pub(super) fn set(self, page: &mut VcpuPage, value: u64) {
        set_register(page, self.index, self.bytes, self.high, value);
    }
}

fn set_register(page: &mut VcpuPage, index: usize, bytes: usize, high: bool, value: u64) {
    let whole = &mut page.gpr[index & 15];
    *whole = match (high, bytes) {
        (true, _) => *whole & !0xff00 | (value & 0xff) << 8,
        (false, 4) => value & mask(4),
        (false, _) => *whole & !mask(bytes) | value & mask(bytes),
    };
}

/// A count or pointer register at the instruction's address size.
pub(super) fn get_address(page: &VcpuPage, index: usize, bytes: usize) -> u64 {
    page.gpr[index & 15] & mask(bytes)
}

/// Sets a count or pointer register at the instruction's address size.
pub(super) fn set_address(page: &mut VcpuPage, index: usize, bytes: usize, value: u64) {
    set_register(page, index, bytes, false, value);
}

/// Address size, in bytes, of a string operand; `None` for another operand.
pub(super) fn string_address_bytes(kind: OpKind) -> Option<usize> {
    match kind {
        OpKind::MemorySegSI | OpKind::MemoryESDI | OpKind::MemorySegDI => Some(2),
        OpKind::MemorySegESI | OpKind::MemoryESEDI | OpKind::MemorySegEDI => Some(4),
        OpKind::MemorySegRSI | OpKind::MemoryESRDI | OpKind::MemorySegRDI => Some(8),
        _ => None,
    }
}

/// Base of the segment that a source string operand uses. The page must hold the group SYSTEM for
/// this.
pub(super) fn source_base(page: &VcpuPage, instruction: &Instruction) -> u64 {
    let index = match instruction.memory_segment() {
        Register::ES => segment::ES,
        Register::CS => segment::CS,
        Register::SS => segment::SS,
        Register::FS => segment::FS,
        Register::GS => segment::GS,
        _ => segment::DS,
    };
    let flat = is_64bit(page) && index != segment::FS && index != segment::GS;
    if flat { 0 } else { page.segments[index].base }
}

/// Base of ES.
pub(super) fn destination_base(page: &VcpuPage) -> u64 {
    if is_64bit(page) { 0 } else { page.segments[segment::ES].base }
}

/// Linear address of an offset in a segment.
pub(super) fn linear(page: &VcpuPage, base: u64, offset: u64) -> u64 {
    let sum = base.wrapping_add(offset);
    if is_64bit(page) { sum } else { sum & 0xffff_ffff }
}

/// Reads up to 8 bytes at a linear address; what is not memory reads as ones.
pub(super) fn read_linear(
    memory: &dyn GuestMemory,
    page: &VcpuPage,
    address: u64,
    bytes: usize,
) -> Result<u64, Problem> {
    let mut value = 0;
    for i in 0..bytes.min(8) {
        let physical = translate(memory, page, address.wrapping_add(i as u64), Access::Read)?;
        let mut byte = [0xff];
        let _ = memory.read(physical, &mut byte);
        value |= u64::from(byte[0]) << (i * 8);
    }
    Ok(value)
}

/// Writes up to 8 bytes at a linear address, all or none; what is not memory swallows them.
pub(super) fn write_linear(
    memory: &mut dyn GuestMemory,
    page: &VcpuPage,
    address: u64,
    bytes: usize,
    value: u64,
) -> Result<(), Problem> {
    let bytes = bytes.min(8);
    let content = value.to_le_bytes();
    let first = translate(memory, page, address, Access::Write)?;
    let in_page = (0x1000 - (address & 0xfff)) as usize;
    if bytes <= in_page {
        let _ = memory.write(first, &content[..bytes]);
        return Ok(());
    }
    let second = translate(memory, page, address.wrapping_add(in_page as u64), Access::Write)?;
    let _ = memory.write(first, &content[..in_page]);
    let _ = memory.write(second, &content[in_page..bytes]);
    Ok(())
}
