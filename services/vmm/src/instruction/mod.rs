// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions of the guest: fetching, and how long they are.
//!
//! No processor feature is needed: bytes are fetched through the guest's page tables and decoded
//! here, because the emulator (and old processors) give neither the bytes nor the next address.
//! [`memory_access`] carries out loads and stores that met a device, [`string_io`] INS and OUTS. No
//! bytes whatsoever make any of this panic.

mod alu;
pub mod memory_access;
mod operand;
pub mod string_io;

use crate::memory::GuestMemory;
use crate::translate::{Access, TranslateError, translate};
use crate::vcpu::{bitness, is_64bit};
use abi::vcpu::{VcpuPage, segment};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic};

/// Longest instruction.
pub const MAX_BYTES: usize = 15;

/// Why an instruction could not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Its bytes or operands could not be reached.
    Translate(TranslateError),
    /// It is no instruction: the guest is due an invalid-opcode exception.
    Invalid,
    /// Another instruction than the one that exited stands there: the guest changed its code, and
    /// runs it again.
    Changed,
    /// It is an instruction that the monitor does not know on device memory.
    Unsupported(Code),
}

impl From<TranslateError> for Problem {
    fn from(error: TranslateError) -> Self {
        Problem::Translate(error)
    }
}

/// Bytes at the guest's instruction pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    bytes: [u8; MAX_BYTES],
    count: usize,
    /// Why there are fewer than [`MAX_BYTES`].
    missing: Option<TranslateError>,
}

impl Code {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }
}

/// Fetches the bytes at the instruction pointer.
///
/// # Errors
/// [`TranslateError`], where not even the first byte can be reached.
pub fn fetch(memory: &dyn GuestMemory, page: &VcpuPage) -> Result<Code, TranslateError> {
    let base = if is_64bit(page) { 0 } else { page.segments[segment::CS].base };
    let linear = base.wrapping_add(page.rip);
    let mut code = Code { bytes: [0; MAX_BYTES], count: 0, missing: None };
    while code.count < MAX_BYTES {
        let at = linear.wrapping_add(code.count as u64);
        let in_page = (0x1000 - (at & 0xfff)) as usize;
        let part = in_page.min(MAX_BYTES - code.count);
        let read = translate(memory, page, at, Access::Fetch).and_then(|physical| {
            let target = &mut code.bytes[code.count..code.count + part];
            memory.read(physical, target).map_err(|_| TranslateError::Outside(physical))
        });
        match read {
            Ok(()) => code.count += part,
            Err(error) if code.count == 0 => return Err(error),
            Err(error) => {
                code.missing = Some(error);
                break;
            }
        }
    }
    Ok(code)
}

/// Fetches and decodes the instruction at the instruction pointer.
///
/// # Errors
/// [`Problem::Translate`] or [`Problem::Invalid`].
pub fn decode(memory: &dyn GuestMemory, page: &VcpuPage) -> Result<(Code, Instruction), Problem> {
    let code = fetch(memory, page)?;
    let mut decoder = Decoder::with_ip(bitness(page), code.bytes(), page.rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if !instruction.is_invalid() {
        return Ok((code, instruction));
    }
    match (decoder.last_error(), code.missing) {
        (DecoderError::NoMoreBytes, Some(error)) => Err(Problem::Translate(error)),
        _ => Err(Problem::Invalid),
    }
}

/// Instructions whose exit does not say where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// CPUID.
    Cpuid,
    /// RDMSR.
    ReadMsr,
    /// WRMSR.
    WriteMsr,
    /// HLT.
    Halt,
    /// VMMCALL or VMCALL.
    Hypercall,
    /// XSETBV.
    SetXcr,
    /// INVD or WBINVD.
    Invalidate,
    /// IN or OUT.
    PortIo,
}

impl Expected {
    /// Encodings without prefixes.
    fn plain(self) -> &'static [&'static [u8]] {
        match self {
            Expected::Cpuid => &[&[0x0f, 0xa2]],
            Expected::ReadMsr => &[&[0x0f, 0x32]],
            Expected::WriteMsr => &[&[0x0f, 0x30]],
            Expected::Halt => &[&[0xf4]],
            Expected::Hypercall => &[&[0x0f, 0x01, 0xd9], &[0x0f, 0x01, 0xc1]],
            Expected::SetXcr => &[&[0x0f, 0x01, 0xd1]],
            Expected::Invalidate => &[&[0x0f, 0x09], &[0x0f, 0x08]],
            Expected::PortIo => &[],
        }
    }

    fn matches(self, mnemonic: Mnemonic) -> bool {
        match self {
            Expected::Cpuid => mnemonic == Mnemonic::Cpuid,
            Expected::ReadMsr => mnemonic == Mnemonic::Rdmsr,
            Expected::WriteMsr => mnemonic == Mnemonic::Wrmsr,
            Expected::Halt => mnemonic == Mnemonic::Hlt,
            Expected::Hypercall => matches!(mnemonic, Mnemonic::Vmmcall | Mnemonic::Vmcall),
            Expected::SetXcr => mnemonic == Mnemonic::Xsetbv,
            Expected::Invalidate => {
                matches!(mnemonic, Mnemonic::Invd | Mnemonic::Wbinvd | Mnemonic::Wbnoinvd)
            }
            Expected::PortIo => matches!(mnemonic, Mnemonic::In | Mnemonic::Out),
        }
    }
}

/// Where the instruction after the present one begins.
///
/// # Errors
/// [`Problem`]; [`Problem::Changed`] where the present one is not as expected.
pub fn next_rip(memory: &dyn GuestMemory, page: &VcpuPage, expected: Expected) -> Result<u64, Problem> {
    let code = fetch(memory, page)?;
    for plain in expected.plain() {
        if code.bytes().starts_with(plain) {
            return Ok(page.rip.wrapping_add(plain.len() as u64));
        }
    }
    let (_, instruction) = decode(memory, page)?;
    if expected.matches(instruction.mnemonic()) { Ok(instruction.next_ip()) } else { Err(Problem::Changed) }
}

#[cfg(test)]
mod tests;
