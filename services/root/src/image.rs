// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of services: static ELF files.
//!
//! What is taken: 64-bit little-endian x86 executables at fixed addresses, whose segments share no
//! page and are not both writable and executable. Everything else is refused.

use alloc::vec::Vec;

use abi::rights::Rights;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;

/// First address that an image may use.
pub const LOWEST: u64 = 0x1_0000;
/// First address above those that an image may use.
pub const HIGHEST: u64 = 0x1000_0000_0000;
/// Most bytes of one segment in memory.
const MAX_SEGMENT: u64 = 64 << 20;
/// Most segments.
const MAX_SEGMENTS: usize = 16;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Address of its first byte.
    pub address: u64,
    /// Bytes in memory.
    pub size: u64,
    /// Its first bytes; the rest are zero.
    pub data: &'a [u8],
    /// READ, WRITE, EXECUTE.
    pub rights: Rights,
}

impl Segment<'_> {
    /// Address after its last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address + self.size
    }

    /// The part of the data that lies at `address` and up to `size` bytes after, and where in that
    /// range it begins.
    #[must_use]
    pub fn data_in(&self, address: u64, size: u64) -> (u64, &[u8]) {
        let from = address.max(self.address);
        let to = address.saturating_add(size).min(self.address + self.data.len() as u64);
        if from >= to {
            return (0, &[]);
        }
        let start = (from - self.address) as usize;
        let end = (to - self.address) as usize;
        (from - address, self.data.get(start..end).unwrap_or(&[]))
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// First instruction.
    pub entry: u64,
    /// Segments, by address.
    pub segments: Vec<Segment<'a>>,
}

/// Reads an image.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Image<'_>, &'static str> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|_| "not an ELF file")?;
    if file.ehdr.class != elf::file::Class::ELF64 || file.ehdr.e_machine != EM_X86_64 {
        return Err("not for this machine");
    }
    if file.ehdr.e_type != ET_EXEC {
        return Err("not a static executable at a fixed address");
    }
    let mut segments = Vec::new();
    for header in file.segments().ok_or("no program headers")? {
        match header.p_type {
            PT_INTERP => return Err("needs a dynamic linker"),
            PT_LOAD if header.p_memsz > 0 => segments.push(read_segment(bytes, &header)?),
            _ => {}
        }
        if segments.len() > MAX_SEGMENTS {
            return Err("too many segments");
        }
    }
    segments.sort_by_key(|segment| segment.address);
    let page = |address: u64| address >> abi::PAGE_BITS;
    if segments.windows(2).any(|pair| page(pair[0].end() - 1) >= page(pair[1].address)) {
        return Err("segments share a page");
    }
    let entry = file.ehdr.e_entry;
    let inside = |s: &Segment<'_>| s.rights.has(Rights::EXECUTE) && entry >= s.address && entry < s.end();
    if !segments.iter().any(inside) {
        return Err("the entry is in no executable segment");
    }
    Ok(Image { entry, segments })
}

fn read_segment<'a>(bytes: &'a [u8], header: &ProgramHeader) -> Result<Segment<'a>, &'static str> {
    if header.p_filesz > header.p_memsz || header.p_memsz > MAX_SEGMENT {
        return Err("a segment has an impossible size");
    }
    let end = header.p_vaddr.checked_add(header.p_memsz).ok_or("a segment wraps around")?;
    if header.p_vaddr < LOWEST || end > HIGHEST {
        return Err("a segment lies outside of the addresses of images");
    }
    let file_end = header.p_offset.checked_add(header.p_filesz).ok_or("a segment wraps around")?;
    let range = usize::try_from(header.p_offset).ok().zip(usize::try_from(file_end).ok());
    let data = range.and_then(|(start, end)| bytes.get(start..end)).ok_or("a segment is cut off")?;
    let mut rights = Rights::READ;
    if header.p_flags & PF_W != 0 {
        rights = rights.or(Rights::WRITE);
    }
    if header.p_flags & PF_X != 0 {
        rights = rights.or(Rights::EXECUTE);
    }
    if rights.has(Rights::WRITE.or(Rights::EXECUTE)) {
        return Err("a segment is writable and executable");
    }
    Ok(Segment { address: header.p_vaddr, size: header.p_memsz, data, rights })
}

#[cfg(test)]
mod tests;
