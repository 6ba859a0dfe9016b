// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a VMM starts a small guest of `guests/rt`, and the few ports that such a guest counts on.
//!
//! Image: a static ELF64 whose `PT_LOAD` segments lie at [`LOWEST_IMAGE`] or above; each is copied
//! to its *physical* address and the rest of it filled with zeros. (The default base of the linker,
//! 4 MiB, does.)
//!
//! Entry, at the ELF's entry point, on vCPU 0:
//!
//! - 64-bit mode, CPL 0, RFLAGS = 2. CR0 = [`CR0`], CR4 = [`CR4`], EFER = [`EFER`], CR3 =
//!   [`PAGE_TABLES`].
//! - CS: attributes [`CODE_ATTRIBUTES`], selector 8; SS, DS, ES, FS, GS: [`DATA_ATTRIBUTES`],
//!   selector 16; bases 0, limits 4 GiB - 1. TR: [`TASK_ATTRIBUTES`], limit 0x67; LDTR: unusable.
//!   GDTR and IDTR: base 0, limit 0 (the guest loads its own).
//! - RDI = [`BOOT_PAGE`], the guest-physical address of a [`BootPage`]. Every other general
//!   register is 0: no stack.
//! - Page tables at [`PAGE_TABLES`]: one PML4 page, one PDPT page and [`MAPPED_GIB`] page
//!   directories, which map the first [`MAPPED_GIB`] GiB one to one in 2 MiB pages (present,
//!   writable, supervisor), whether there is memory or not.
//!
//! Memory is one range from 0 to [`BootPage::memory`]; what is not there (local APIC page, I/O
//! APIC) is not memory.

/// "UNDERGST" as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UNDERGST");
/// Version of this protocol.
pub const VERSION: u64 = 1;

/// Guest-physical address of the [`BootPage`].
pub const BOOT_PAGE: u64 = 0x1000;
/// Guest-physical address of the first page table; the PDPT follows, then the page directories.
pub const PAGE_TABLES: u64 = 0x2000;
/// GiB that the page tables map.
pub const MAPPED_GIB: u64 = 4;
/// Lowest guest-physical address of an image.
pub const LOWEST_IMAGE: u64 = 0x10_0000;

/// CR0 at entry: PE, MP, ET, NE, WP, PG.
pub const CR0: u64 = 0x8001_0033;
/// CR4 at entry: PAE, OSFXSR, OSXMMEXCPT.
pub const CR4: u64 = 0x620;
/// EFER at entry: LME, LMA, NXE.
pub const EFER: u64 = 0xd00;
/// Attributes of CS (see [`crate::vcpu::Segment`]): 64-bit code, readable, accessed, DPL 0.
pub const CODE_ATTRIBUTES: u16 = 0xa9b;
/// Attributes of the data segments: writable, accessed, 32-bit, DPL 0.
pub const DATA_ATTRIBUTES: u16 = 0xc93;
/// Attributes of TR: busy 64-bit TSS.
pub const TASK_ATTRIBUTES: u16 = 0x08b;

/// Most bytes of the command line.
pub const MAX_COMMAND_LINE: usize = 2048;

/// First port of the 16550 that a guest writes its console to.
pub const SERIAL_PORT: u16 = 0x3f8;
/// Sleep control register (8 bits).
pub const SLEEP_CONTROL_PORT: u16 = 0x604;
/// Value of it that powers off: SLP_TYP 5, SLP_EN.
pub const POWER_OFF: u8 = 0x34;
/// Reset control register (8 bits).
pub const RESET_PORT: u16 = 0xcf9;
/// Value of it that resets.
pub const RESET: u8 = 0x06;

/// What the guest is told.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct BootPage {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u64,
    /// Bytes of memory, from guest-physical address 0.
    pub memory: u64,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// Token for [`crate::hypercall`]; zeros where the guest has none.
    pub token: [u8; 16],
    /// Bytes of `command_line` in use.
    pub command_line_len: u64,
    /// Command line, words separated by spaces.
    pub command_line: [u8; MAX_COMMAND_LINE],
    /// Zeros.
    pub reserved: [u64; 249],
}

const _: () = assert!(core::mem::size_of::<BootPage>() == 4096);
const _: () = assert!(core::mem::offset_of!(BootPage, command_line) == 56);
