// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Linux kernel (bzImage), started by the 64-bit boot protocol (Linux,
//! Documentation/arch/x86/boot.rst).
//!
//! Owns the places of things in low memory, the zero page, and the memory map. The kernel is not
//! unpacked or changed: it is copied to its preferred address and entered 0x200 bytes behind it.
//! ACPI tables are the platform's; their area is only announced as reserved.

use super::{BootError, Entry, MAX_MEMORY, archive, enter_64bit, identity_tables, number};
use crate::memory::GuestMemory;
use abi::guest::{RESET, RESET_PORT};
use abi::vcpu::VcpuPage;
use alloc::vec::Vec;

/// Descriptor table: null, null, `__BOOT_CS` (0x10), `__BOOT_DS` (0x18).
const GDT: u64 = 0x500;
const GDT_ENTRIES: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
const BOOT_CS: u16 = 0x10;
const BOOT_DS: u16 = 0x18;
/// Zero page (`boot_params`).
const BOOT_PARAMS: u64 = 0x7000;
/// Page tables: PML4, PDPT, four page directories.
const PAGE_TABLES: u64 = 0x9000;
const MAPPED_GIB: u64 = 4;
const COMMAND_LINE: u64 = 0x2_0000;
const MAX_COMMAND_LINE: usize = 2047;

/// End of conventional memory.
const LOW_MEMORY_END: u64 = 0x9_fc00;
/// Firmware area, with the ACPI tables.
const FIRMWARE_AREA: u64 = 0xe_0000;
const HIGH_MEMORY: u64 = 0x10_0000;
/// Where a processor begins after a reset, and where Linux jumps in real mode to have one: it finds
/// no other way on a machine with reduced ACPI and without EFI. There: `mov al, 6; mov dx, 0xcf9;
/// out dx, al; hlt; jmp $-1`.
const RESET_VECTOR: u64 = 0xf_fff0;
const RESET_CODE: [u8; 9] =
    [0xb0, RESET, 0xba, RESET_PORT as u8, (RESET_PORT >> 8) as u8, 0xee, 0xf4, 0xeb, 0xfd];

const OLDEST_PROTOCOL: u16 = 0x020c;
const XLF_KERNEL_64: u16 = 1;
const LOADED_HIGH: u8 = 1;
/// "Other" boot loader, without an id of its own.
const LOADER_UNDEFINED: u8 = 0xff;

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// Bytes of the unit in which the header counts the kernel's size.
const PARAGRAPH: u64 = 16;

/// What a Linux guest is started with.
#[derive(Clone, Copy)]
pub struct Linux<'a> {
    /// The bzImage.
    pub kernel: &'a [u8],
    /// Initial RAM disk; may be empty.
    pub initrd: &'a [u8],
    /// Command line.
    pub command_line: &'a str,
    /// Token for the hypercalls; handed over as `understudy/token` in the RAM disk.
    pub token: Option<[u8; 16]>,
    /// Guest-physical address of the ACPI root pointer; 0 for none.
    pub acpi_rsdp: u64,
}

/// The fields of the setup header that a loader needs.
struct Header {
    /// Offset of the 64-bit part in the file.
    payload: usize,
    /// Its bytes.
    payload_bytes: u64,
    /// End of the setup header in the file.
    end: usize,
    initrd_max: u64,
    alignment: u64,
    relocatable: bool,
    command_line_max: usize,
    preferred: u64,
    init_size: u64,
}

impl Header {
    fn parse(image: &[u8]) -> Result<Self, BootError> {
        let truncated = BootError::Truncated("the setup header");
        let field = |value: Option<u64>| value.ok_or(truncated);
        let is_linux = number::<2>(image, 0x1fe) == Some(0xaa55)
            && number::<4>(image, 0x202) == Some(u64::from(u32::from_le_bytes(*b"HdrS")));
        if !is_linux {
            return Err(BootError::NotLinux(kind(image)));
        }
        let version = field(number::<2>(image, 0x206))? as u16;
        if version < OLDEST_PROTOCOL {
            return Err(BootError::OldProtocol(version));
        }
        if field(number::<2>(image, 0x236))? as u16 & XLF_KERNEL_64 == 0 {
            return Err(BootError::No64BitEntry);
        }
        let sectors = match field(number::<1>(image, 0x1f1))? {
            0 => 4,
            n => n as usize,
        };
        let end = 0x202 + field(number::<1>(image, 0x201))? as usize;
        if end < 0x264 || end > image.len() {
            return Err(truncated);
        }
        let header = Self {
            payload: (sectors + 1) * 512,
            payload_bytes: field(number::<4>(image, 0x1f4))? * PARAGRAPH,
            end,
            initrd_max: field(number::<4>(image, 0x22c))?,
            alignment: field(number::<4>(image, 0x230))?,
            relocatable: field(number::<1>(image, 0x234))? != 0,
            command_line_max: field(number::<4>(image, 0x238))? as usize,
            preferred: field(number::<8>(image, 0x258))?,
            init_size: field(number::<4>(image, 0x260))?,
        };
        if !header.alignment.is_power_of_two() {
            return Err(BootError::NotAnImage("the kernel's alignment is not a power of two"));
        }
        let present = image.len().saturating_sub(header.payload) as u64;
        // The header counts paragraphs of 16 bytes, and the last one may be in the file in part
        // only.
        if present == 0 || present + PARAGRAPH <= header.payload_bytes {
            return Err(BootError::Truncated("the kernel's 64-bit part"));
        }
        Ok(Self { payload_bytes: header.payload_bytes.min(present), ..header })
    }

    /// Where to put the kernel so that it ends at or below `limit` once unpacked.
    fn place(&self, limit: u64) -> Result<u64, BootError> {
        let need = self.init_size.max(self.payload_bytes);
        let fits = |start: u64| start.checked_add(need).is_some_and(|end| end <= limit);
        if self.preferred >= HIGH_MEMORY && fits(self.preferred) {
            return Ok(self.preferred);
        }
        let lowest = HIGH_MEMORY.next_multiple_of(self.alignment);
        if self.relocatable && fits(lowest) {
            return Ok(lowest);
        }
        let start = if self.relocatable { lowest } else { self.preferred };
        Err(BootError::MemoryTooSmall(start.saturating_add(need)))
    }
}

/// Names what an image without a Linux setup header is.
fn kind(image: &[u8]) -> &'static str {
    match image {
        [] => "empty",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file (no PVH or multiboot entry is supported)",
        [b'M', b'Z', ..] => "an EFI program without a Linux setup header",
        [0x1f, 0x8b, ..] => "compressed by gzip",
        _ => "of an unknown kind",
    }
}

/// Puts a Linux guest into zeroed memory and sets its first vCPU to the entry.
///
/// # Errors
/// [`BootError`], with memory in an undefined state.
pub fn load(memory: &mut dyn GuestMemory, page: &mut VcpuPage, linux: &Linux) -> Result<(), BootError> {
    let size = memory.size();
    if size > MAX_MEMORY {
        return Err(BootError::MemoryTooLarge);
    }
    let header = Header::parse(linux.kernel)?;
    let most = header.command_line_max.min(MAX_COMMAND_LINE);
    if linux.command_line.len() > most {
        return Err(BootError::CommandLineTooLong(most));
    }
    let (initrd, initrd_bytes) = load_initrd(memory, linux, &header)?;
    let start = header.place(if initrd_bytes == 0 { size } else { initrd })?;
    let payload_end = header.payload.saturating_add(header.payload_bytes as usize);
    let payload = linux.kernel.get(header.payload..payload_end);
    memory.write(start, payload.ok_or(BootError::Truncated("the kernel's 64-bit part"))?)?;
    memory.write(RESET_VECTOR, &RESET_CODE)?;
    memory.write(COMMAND_LINE, linux.command_line.as_bytes())?;
    memory.write(BOOT_PARAMS, &boot_params(linux, &header, (initrd, initrd_bytes), size)?)?;
    for (i, descriptor) in (0..).zip(GDT_ENTRIES) {
        memory.write_u64(GDT + i * 8, descriptor)?;
    }
    identity_tables(memory, PAGE_TABLES, MAPPED_GIB)?;
    enter_64bit(
        page,
        &Entry {
            rip: start + 0x200,
            cr3: PAGE_TABLES,
            gdt: (GDT, GDT_ENTRIES.len() as u32 * 8 - 1),
            code: BOOT_CS,
            data: BOOT_DS,
            boot_page: BOOT_PARAMS,
        },
    );
    Ok(())
}

/// Puts the RAM disk and behind it the token's archive as high as possible: address and bytes.
fn load_initrd(
    memory: &mut dyn GuestMemory,
    linux: &Linux,
    header: &Header,
) -> Result<(u64, u64), BootError> {
    let appendix = linux.token.map_or_else(Vec::new, |token| archive::token(&token));
    let disk = linux.initrd.len().next_multiple_of(4);
    let total = (disk + appendix.len()) as u64;
    if total == 0 {
        return Ok((0, 0));
    }
    let top = memory.size().min(header.initrd_max.saturating_add(1));
    let start = top.checked_sub(total).map(|start| start & !0xfff).filter(|&start| start >= HIGH_MEMORY);
    let start = start.ok_or(BootError::MemoryTooSmall(HIGH_MEMORY + total))?;
    memory.write(start, linux.initrd)?;
    memory.write(start + disk as u64, &appendix)?;
    Ok((start, total))
}

/// The zero page: the kernel's own setup header, our answers in it, and the memory map.
fn boot_params(
    linux: &Linux,
    header: &Header,
    initrd: (u64, u64),
    memory: u64,
) -> Result<[u8; 4096], BootError> {
    let mut page = [0; 4096];
    let setup = linux.kernel.get(0x1f1..header.end).ok_or(BootError::Truncated("the setup header"))?;
    page[0x1f1..header.end].copy_from_slice(setup);
    let mut put = |offset: usize, bytes: &[u8]| page[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0x70, &linux.acpi_rsdp.to_le_bytes());
    put(0x1fa, &0xffff_u16.to_le_bytes());
    put(0x210, &[LOADER_UNDEFINED]);
    put(0x211, &[setup[0x211 - 0x1f1] | LOADED_HIGH]);
    put(0x218, &(initrd.0 as u32).to_le_bytes());
    put(0x21c, &(initrd.1 as u32).to_le_bytes());
    put(0x228, &(COMMAND_LINE as u32).to_le_bytes());
    let map = [
        (0, LOW_MEMORY_END, E820_RAM),
        (LOW_MEMORY_END, 0xa_0000, E820_RESERVED),
        (FIRMWARE_AREA, HIGH_MEMORY, E820_RESERVED),
        (HIGH_MEMORY, memory, E820_RAM),
    ];
    put(0x1e8, &[map.len() as u8]);
    for (i, (start, end, kind)) in map.into_iter().enumerate() {
        let at = 0x2d0 + i * 20;
        put(at, &start.to_le_bytes());
        put(at + 8, &(end - start).to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
