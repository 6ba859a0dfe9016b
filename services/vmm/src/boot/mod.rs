// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests put into memory, and the first vCPU set to their entry.
//!
//! Owns what the loaders share: errors, identity page tables, the register state of a 64-bit entry.
//! Images are hostile: every length in them is checked, and an error says which check failed.
//! Memory is zero when a loader starts; zeroing it is left to the caller.

pub mod archive;
pub mod linux;
pub mod unikernel;

use crate::memory::{GuestMemory, MemoryError};
use abi::vcpu::{Segment, VcpuPage, gpr, group, segment};
use core::fmt;

/// What can be started as a Linux guest.
const SUPPORTED: &str = "supported is a bzImage with a 64-bit entry (boot protocol 2.12 or later)";

/// Why a guest could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// The image ends before something that its header announces.
    Truncated(&'static str),
    /// The image is not of the expected kind.
    NotAnImage(&'static str),
    /// The image has no Linux setup header, and what it is instead.
    NotLinux(&'static str),
    /// The Linux boot protocol is older than 2.12.
    OldProtocol(u16),
    /// The kernel has no 64-bit entry.
    No64BitEntry,
    /// Memory ends before the guest's needs: so many bytes would be needed.
    MemoryTooSmall(u64),
    /// There is more memory than the platform has room for below its devices.
    MemoryTooLarge,
    /// The command line is longer than the guest accepts (so many bytes).
    CommandLineTooLong(usize),
    /// A segment lies where the monitor keeps its own tables, or overlaps nothing that is memory.
    BadSegment(u64),
    /// Guest memory could not be written.
    Memory(MemoryError),
}

impl From<MemoryError> for BootError {
    fn from(error: MemoryError) -> Self {
        BootError::Memory(error)
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Truncated(what) => write!(f, "the image is cut short: {what} is missing"),
            BootError::NotAnImage(found) => write!(f, "not a guest image: {found}"),
            BootError::NotLinux(found) => {
                write!(f, "not a Linux kernel that can be started: it is {found}; {SUPPORTED}")
            }
            BootError::OldProtocol(version) => {
                write!(f, "boot protocol {}.{:02} is too old: 2.12 is needed", version >> 8, version & 0xff)
            }
            BootError::No64BitEntry => write!(f, "the kernel has a 32-bit entry only; {SUPPORTED}"),
            BootError::MemoryTooSmall(needed) => {
                write!(f, "too little memory: {} KiB are needed", needed.div_ceil(1024))
            }
            BootError::MemoryTooLarge => f.write_str("more memory than the platform has room for (3 GiB)"),
            BootError::CommandLineTooLong(most) => {
                write!(f, "the command line is too long: at most {most} bytes")
            }
            BootError::BadSegment(address) => write!(f, "a segment at {address:#x} cannot be placed"),
            BootError::Memory(error) => write!(f, "guest memory: {error:?}"),
        }
    }
}

/// Most guest memory: the devices' pages follow from here on.
pub const MAX_MEMORY: u64 = 0xc000_0000;

const PAGE: u64 = 4096;
const PRESENT_WRITABLE: u64 = 3;
const LARGE: u64 = 1 << 7;
const LARGE_BYTES: u64 = 2 << 20;

/// Writes page tables at `tables` that map the first `gib` GiB one to one: PML4, PDPT, page
/// directories.
///
/// # Errors
/// [`MemoryError`] where the tables do not lie in memory.
pub fn identity_tables(memory: &mut dyn GuestMemory, tables: u64, gib: u64) -> Result<(), MemoryError> {
    let pdpt = tables + PAGE;
    memory.write_u64(tables, pdpt | PRESENT_WRITABLE)?;
    for i in 0..gib {
        let directory = pdpt + PAGE * (i + 1);
        memory.write_u64(pdpt + i * 8, directory | PRESENT_WRITABLE)?;
        let mut page = [0; PAGE as usize];
        for (j, entry) in page.chunks_exact_mut(8).enumerate() {
            let target = (i * 512 + j as u64) * LARGE_BYTES;
            entry.copy_from_slice(&(target | LARGE | PRESENT_WRITABLE).to_le_bytes());
        }
        memory.write(directory, &page)?;
    }
    Ok(())
}

/// Where a 64-bit guest begins.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// First instruction.
    pub rip: u64,
    /// Page tables.
    pub cr3: u64,
    /// Address and last byte of the descriptor table; (0, 0) for none.
    pub gdt: (u64, u32),
    /// Selector of CS.
    pub code: u16,
    /// Selector of the data segments.
    pub data: u16,
    /// Address of what the guest is told.
    pub boot_page: u64,
}

/// Page attribute table after reset.
const PAT_AT_RESET: u64 = 0x0007_0406_0007_0406;

/// Sets a vCPU's whole state for the entry of a 64-bit guest; RSI and RDI both point at its boot
/// page.
///
/// Values of control registers and attributes are those of [`abi::guest`].
pub fn enter_64bit(page: &mut VcpuPage, entry: &Entry) {
    clear_state(page);
    page.gpr[gpr::RSI] = entry.boot_page;
    page.gpr[gpr::RDI] = entry.boot_page;
    page.rip = entry.rip;
    page.cr0 = abi::guest::CR0;
    page.cr3 = entry.cr3;
    page.cr4 = abi::guest::CR4;
    page.efer = abi::guest::EFER;
    let limit = u32::MAX;
    let data = Segment { selector: entry.data, attributes: abi::guest::DATA_ATTRIBUTES, limit, base: 0 };
    for index in [segment::ES, segment::SS, segment::DS, segment::FS, segment::GS] {
        page.segments[index] = data;
    }
    page.segments[segment::CS] =
        Segment { selector: entry.code, attributes: abi::guest::CODE_ATTRIBUTES, limit, base: 0 };
    page.segments[segment::TR] =
        Segment { selector: 0, attributes: abi::guest::TASK_ATTRIBUTES, limit: 0x67, base: 0 };
    page.segments[segment::GDTR] =
        Segment { selector: 0, attributes: 0, limit: entry.gdt.1, base: entry.gdt.0 };
}

/// Sets a vCPU's whole state for the start of a further processor: real mode at `page` << 12
/// (SIPI).
pub fn enter_real_mode(page: &mut VcpuPage, number: u8) {
    clear_state(page);
    page.rip = 0;
    page.cr0 = 0x6000_0010;
    page.cr3 = 0;
    page.cr4 = 0;
    page.efer = 0;
    let base = u64::from(number) << 12;
    page.segments = [Segment { selector: 0, attributes: 0x93, limit: 0xffff, base: 0 }; 10];
    page.segments[segment::CS] =
        Segment { selector: u16::from(number) << 8, attributes: 0x9b, limit: 0xffff, base };
    page.segments[segment::LDTR].attributes = 0x82;
    page.segments[segment::TR].attributes = 0x8b;
    for index in [segment::GDTR, segment::IDTR] {
        page.segments[index].attributes = 0;
    }
}

/// Clears a vCPU's state: no event, registers as after power-on where zero would not do.
fn clear_state(page: &mut VcpuPage) {
    page.inject = 0;
    page.pending_event = 0;
    page.want_window = 0;
    page.interrupt_shadow = 0;
    page.deadline = u64::MAX;
    page.gpr = [0; 16];
    page.rflags = 2;
    page.cr2 = 0;
    page.cr8 = 0;
    page.xcr0 = 1;
    page.cpl = 0;
    page.dr = [0, 0, 0, 0, 0xffff_0ff0, 0x400];
    page.segments = [Segment::default(); 10];
    for word in [
        &mut page.star,
        &mut page.lstar,
        &mut page.cstar,
        &mut page.sfmask,
        &mut page.kernel_gs_base,
        &mut page.sysenter_cs,
        &mut page.sysenter_esp,
        &mut page.sysenter_eip,
        &mut page.tsc_aux,
    ] {
        *word = 0;
    }
    page.interruptible = 0;
    page.pat = PAT_AT_RESET;
    page.xsave = [0; abi::vcpu::XSAVE_BYTES];
    // x87 control word and MXCSR as after reset; XSTATE_BV = 0 says that all components are in that
    // state.
    page.xsave[0..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    page.xsave[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    page.dirty = group::ALL;
}

/// A little-endian number of `N` bytes (at most 8) in an image, if it is there.
fn number<const N: usize>(image: &[u8], offset: usize) -> Option<u64> {
    let bytes = image.get(offset..offset.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
