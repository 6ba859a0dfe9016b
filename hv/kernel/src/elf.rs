// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root service's image: a static ELF file for x86-64, read from boot memory.
//!
//! A file that does not add up is refused as a whole; the boot loader's modules are not trusted.

use store::read_word;

/// A part of the image that is to be in memory.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Where in the file it begins.
    pub offset: u64,
    /// Where in the address space it begins.
    pub address: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Whether it can be written.
    pub write: bool,
    /// Whether it can be executed.
    pub execute: bool,
}

/// An ELF file at a physical address.
pub struct Image {
    base: u64,
    size: u64,
    entry: u64,
    table: u64,
    count: u64,
}

const LOAD: u64 = 1;
const ENTRY_BYTES: u64 = 56;
const USER_END: u64 = 1 << 47;

impl Image {
    /// Check the headers (ELF-64, little-endian, x86-64, executable).
    pub fn new(base: u64, size: u64) -> Option<Self> {
        if size < 64 || !base.is_multiple_of(8) {
            return None;
        }
        let image = Self { base, size, entry: 0, table: 0, count: 0 };
        let (ident, kind) = (image.word(0)?, image.word(16)?);
        // 0x7f E L F, 64-bit, little-endian, version 1; type EXEC, machine x86-64.
        if ident & 0x00ff_ffff_ffff_ffff != 0x0001_0102_464c_457f || kind & 0xffff_ffff != 0x003e_0002 {
            return None;
        }
        let sizes = image.word(48)?;
        if sizes >> 48 & 0xffff != ENTRY_BYTES {
            return None;
        }
        let count = image.word(56)? & 0xffff;
        Some(Self { entry: image.word(24)?, table: image.word(32)?, count, ..image })
    }

    /// Where execution begins.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Its loadable segments; `None` in place of one that is out of bounds.
    pub fn segments(&self) -> impl Iterator<Item = Option<Segment>> + '_ {
        (0..self.count).filter_map(|index| self.segment(index))
    }

    /// `None` if it is not to be loaded, `Some(None)` if it is out of bounds.
    fn segment(&self, index: u64) -> Option<Option<Segment>> {
        let at = self.table.checked_add(index * ENTRY_BYTES);
        let Some(at) = at else { return Some(None) };
        let Some(kind) = self.word(at) else { return Some(None) };
        if kind & 0xffff_ffff != LOAD {
            return None;
        }
        Some(self.loadable(at, kind >> 32))
    }

    fn loadable(&self, at: u64, flags: u64) -> Option<Segment> {
        let field = |index: u64| self.word(at + 8 * index);
        let segment = Segment {
            offset: field(1)?,
            address: field(2)?,
            file_bytes: field(4)?,
            memory_bytes: field(5)?,
            write: flags & 2 != 0,
            execute: flags & 1 != 0,
        };
        let in_file = segment.offset.checked_add(segment.file_bytes)? <= self.size;
        let in_space = segment.address.checked_add(segment.memory_bytes)? <= USER_END;
        (in_file && in_space && segment.file_bytes <= segment.memory_bytes).then_some(segment)
    }

    /// A little-endian word at any offset.
    fn word(&self, offset: u64) -> Option<u64> {
        if offset.checked_add(8)? > self.size {
            return None;
        }
        let word = |at: u64| {
            let address = self.base + at;
            read_word(address & !0xfff, (address & 0xfff) as usize / 8)
        };
        let shift = offset % 8 * 8;
        let low = word(offset & !7);
        if shift == 0 {
            return Some(low);
        }
        Some(low >> shift | word((offset & !7) + 8) << (64 - shift))
    }
}
