// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small guest (static ELF64), started as [`abi::guest`] says.
//!
//! Owns the reading of the ELF file and the boot page. The protocol itself is in the contract, so
//! that `guests/rt` and this loader cannot disagree.

use super::{BootError, Entry, MAX_MEMORY, enter_64bit, identity_tables, number};
use crate::memory::{GuestMemory, contains};
use abi::guest;
use abi::vcpu::{VcpuPage, gpr};

const CLASS_64: u64 = 2;
const LITTLE_ENDIAN: u64 = 1;
const EXECUTABLE: u64 = 2;
const X86_64: u64 = 62;
const PT_LOAD: u64 = 1;
const PROGRAM_HEADER_BYTES: usize = 56;

/// What a small guest is started with.
#[derive(Clone, Copy)]
pub struct Unikernel<'a> {
    /// The ELF file.
    pub image: &'a [u8],
    /// Command line.
    pub command_line: &'a str,
    /// Token for the hypercalls.
    pub token: Option<[u8; 16]>,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
}

/// Puts a small guest into zeroed memory and sets its first vCPU to the entry.
///
/// # Errors
/// [`BootError`], with memory in an undefined state.
pub fn load(
    memory: &mut dyn GuestMemory,
    page: &mut VcpuPage,
    unikernel: &Unikernel,
) -> Result<(), BootError> {
    let size = memory.size();
    if size > MAX_MEMORY {
        return Err(BootError::MemoryTooLarge);
    }
    if unikernel.command_line.len() > guest::MAX_COMMAND_LINE {
        return Err(BootError::CommandLineTooLong(guest::MAX_COMMAND_LINE));
    }
    let rip = load_elf(memory, unikernel.image)?;
    memory.write(guest::BOOT_PAGE, &boot_page(unikernel, size))?;
    identity_tables(memory, guest::PAGE_TABLES, guest::MAPPED_GIB)?;
    enter_64bit(
        page,
        &Entry { rip, cr3: guest::PAGE_TABLES, gdt: (0, 0), code: 8, data: 16, boot_page: guest::BOOT_PAGE },
    );
    page.gpr[gpr::RSI] = 0;
    Ok(())
}

/// Copies the segments of an ELF file to their places; returns its entry.
fn load_elf(memory: &mut dyn GuestMemory, image: &[u8]) -> Result<u64, BootError> {
    let truncated = BootError::Truncated("the ELF header");
    let field = |value: Option<u64>| value.ok_or(truncated);
    if image.get(0..4) != Some(b"\x7fELF") {
        return Err(BootError::NotAnImage("no ELF signature"));
    }
    if field(number::<1>(image, 4))? != CLASS_64 || field(number::<1>(image, 5))? != LITTLE_ENDIAN {
        return Err(BootError::NotAnImage("not a 64-bit little-endian ELF file"));
    }
    if field(number::<2>(image, 16))? != EXECUTABLE || field(number::<2>(image, 18))? != X86_64 {
        return Err(BootError::NotAnImage("not a static x86-64 executable"));
    }
    let entry = field(number::<8>(image, 24))?;
    let table = field(number::<8>(image, 32))?;
    let stride = field(number::<2>(image, 54))? as usize;
    let count = field(number::<2>(image, 56))? as usize;
    if stride < PROGRAM_HEADER_BYTES {
        return Err(BootError::NotAnImage("program headers of an unknown size"));
    }
    for i in 0..count {
        let at = usize::try_from(table).ok().and_then(|table| table.checked_add(i * stride));
        let header = at.and_then(|at| image.get(at..at.checked_add(PROGRAM_HEADER_BYTES)?));
        load_segment(memory, image, header.ok_or(BootError::Truncated("a program header"))?)?;
    }
    Ok(entry)
}

/// Copies one segment; what is not `PT_LOAD` is passed over.
fn load_segment(memory: &mut dyn GuestMemory, image: &[u8], header: &[u8]) -> Result<(), BootError> {
    let field = |offset| number::<8>(header, offset).ok_or(BootError::Truncated("a program header"));
    if number::<4>(header, 0) != Some(PT_LOAD) {
        return Ok(());
    }
    let (offset, address, in_file, in_memory) = (field(8)?, field(24)?, field(32)?, field(40)?);
    if address < guest::LOWEST_IMAGE || in_file > in_memory {
        return Err(BootError::BadSegment(address));
    }
    let end = address.checked_add(in_memory).ok_or(BootError::BadSegment(address))?;
    if !contains(memory.size(), address, 0) || end > memory.size() {
        return Err(BootError::MemoryTooSmall(end));
    }
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| Some(start..start.checked_add(usize::try_from(in_file).ok()?)?));
    let bytes = range.and_then(|range| image.get(range)).ok_or(BootError::Truncated("a segment"))?;
    memory.write(address, bytes)?;
    Ok(())
}

/// The bytes of a [`guest::BootPage`].
fn boot_page(unikernel: &Unikernel, memory: u64) -> [u8; 4096] {
    let mut page = [0; 4096];
    let line = unikernel.command_line.as_bytes();
    let words = [guest::MAGIC, guest::VERSION, memory, unikernel.tsc_khz];
    for (place, word) in page.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    page[32..48].copy_from_slice(&unikernel.token.unwrap_or_default());
    page[48..56].copy_from_slice(&(line.len() as u64).to_le_bytes());
    let line = line.get(..guest::MAX_COMMAND_LINE).unwrap_or(line);
    page[56..56 + line.len()].copy_from_slice(line);
    page
}

#[cfg(test)]
mod tests {
    use super::{Unikernel, load};
    use crate::boot::BootError;
    use crate::memory::{GuestMemory, PlainMemory};
    use crate::vcpu::blank_page;
    use abi::guest;

    /// An ELF file with one segment at 4 MiB: four bytes, and 4096 in memory.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[0..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..20].copy_from_slice(&[2, 0, 62, 0]);
        bytes[24..32].copy_from_slice(&0x40_0010_u64.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..58].copy_from_slice(&[56, 0, 1, 0]);
        bytes[64] = 1;
        for (at, value) in [(8, 120_u64), (24, 0x40_0000), (32, 4), (40, 4096)] {
            bytes[64 + at..64 + at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(b"code");
        bytes
    }

    fn start(image: &[u8], bytes: usize) -> Result<(PlainMemory, Box<abi::vcpu::VcpuPage>), BootError> {
        let mut memory = PlainMemory::new(bytes);
        let mut page = Box::new(blank_page());
        let guest = Unikernel { image, command_line: "a b", token: Some([7; 16]), tsc_khz: 1_000_000 };
        load(&mut memory, &mut page, &guest)?;
        Ok((memory, page))
    }

    #[test]
    fn a_small_guest_is_placed_and_told() {
        let (memory, page) = start(&image(), 8 << 20).unwrap();
        assert_eq!(page.rip, 0x40_0010);
        assert_eq!(page.gpr[abi::vcpu::gpr::RDI], guest::BOOT_PAGE);
        assert_eq!(memory.read_u64(guest::BOOT_PAGE), Ok(guest::MAGIC));
        assert_eq!(memory.read_u64(guest::BOOT_PAGE + 16), Ok(8 << 20));
        assert_eq!(&memory.0[0x40_0000..0x40_0005], b"code\0");
        assert_eq!(&memory.0[0x1000 + 56..0x1000 + 60], b"a b\0");
        assert_eq!(memory.read_u64(0x3000), Ok(0x4003));
        assert_eq!(memory.read_u64(0x4008), Ok(0x20_0083));
    }

    #[test]
    fn images_cut_anywhere_are_refused() {
        let image = image();
        for length in 0..image.len() {
            assert!(start(&image[..length], 8 << 20).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn too_little_memory_is_named() {
        assert_eq!(start(&image(), 4 << 20).err(), Some(BootError::MemoryTooSmall(0x40_1000)));
    }
}
