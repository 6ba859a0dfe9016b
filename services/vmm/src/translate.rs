// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's own translation of virtual addresses, as far as the monitor needs it to read an
//! instruction or an operand.
//!
//! Owns the walk of the guest's page tables: 4 and 5 levels, PAE, and the two levels of 32-bit mode
//! (AMD APM vol. 2, 5). It reads guest memory only; accessed and dirty bits stay as they are (the
//! instruction ran into its exit after the processor had done the same walk, but for operands of
//! string instructions). A table outside of memory is told apart from a fault of the guest.

use crate::memory::GuestMemory;
use crate::vcpu::{LONG_MODE_ACTIVE, flag};
use abi::vcpu::VcpuPage;

/// Why an address could not be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranslateError {
    /// The guest must be given a page fault.
    Fault {
        /// The virtual address.
        address: u64,
        /// Error code of the page fault.
        code: u32,
    },
    /// A page table, or the target, lies where there is no memory.
    Outside(u64),
}

/// What an address is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading data.
    Read,
    /// Writing data.
    Write,
    /// Fetching an instruction.
    Fetch,
}

const CR0_PAGING: u64 = 1 << 31;
const CR0_WRITE_PROTECT: u64 = 1 << 16;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;
const EFER_NXE: u64 = 1 << 11;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const CODE_PRESENT: u32 = 1;
const CODE_WRITE: u32 = 2;
const CODE_USER: u32 = 4;
const CODE_FETCH: u32 = 16;

/// Shape of the guest's tables.
struct Format {
    levels: u32,
    /// log2 of the entries per table.
    index_bits: u32,
    entry_bytes: u64,
    root: u64,
}

impl Format {
    fn of(page: &VcpuPage) -> Self {
        if page.efer & LONG_MODE_ACTIVE != 0 {
            let levels = if page.cr4 & CR4_LA57 != 0 { 5 } else { 4 };
            Self { levels, index_bits: 9, entry_bytes: 8, root: page.cr3 & ADDRESS }
        } else if page.cr4 & CR4_PAE != 0 {
            Self { levels: 3, index_bits: 9, entry_bytes: 8, root: page.cr3 & 0xffff_ffe0 }
        } else {
            Self { levels: 2, index_bits: 10, entry_bytes: 4, root: page.cr3 & 0xffff_f000 }
        }
    }

    /// Returns whether an entry at `level` (1 is the lowest) with the large bit ends the walk.
    fn may_be_large(&self, level: u32, page: &VcpuPage) -> bool {
        match self.levels {
            2 => level == 2 && page.cr4 & CR4_PSE != 0,
            3 => level == 2,
            _ => level == 2 || level == 3,
        }
    }
}

/// Translates a virtual (linear) address to a guest-physical one.
///
/// # Errors
/// [`TranslateError`].
pub fn translate(
    memory: &dyn GuestMemory,
    page: &VcpuPage,
    address: u64,
    access: Access,
) -> Result<u64, TranslateError> {
    if page.cr0 & CR0_PAGING == 0 {
        return Ok(address & 0xffff_ffff);
    }
    let format = Format::of(page);
    let address = if format.levels >= 4 { address } else { address & 0xffff_ffff };
    let fault = |present: u32| TranslateError::Fault { address, code: code(page, access) | present };
    let mut table = format.root;
    let mut allowed = WRITABLE | USER;
    let mut no_execute = 0;
    for level in (1..=format.levels).rev() {
        let shift = 12 + (level - 1) * format.index_bits;
        let index = address >> shift & ((1 << format.index_bits) - 1);
        let entry = read_entry(memory, table + index * format.entry_bytes, format.entry_bytes)?;
        if entry & PRESENT == 0 {
            return Err(fault(0));
        }
        // The four entries at the top of PAE tables carry no permissions.
        if !(format.levels == 3 && level == 3) {
            allowed &= entry;
            no_execute |= entry & NO_EXECUTE;
        }
        let large = level > 1 && entry & LARGE != 0 && format.may_be_large(level, page);
        if level == 1 || large {
            if !permitted(page, access, allowed, no_execute) {
                return Err(fault(CODE_PRESENT));
            }
            let mut base = entry & ADDRESS;
            if format.entry_bytes == 4 && large {
                base = entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32;
            }
            let offset = (1_u64 << shift) - 1;
            return Ok(base & !offset | address & offset);
        }
        table = entry & ADDRESS;
    }
    Err(fault(0))
}

fn read_entry(memory: &dyn GuestMemory, at: u64, bytes: u64) -> Result<u64, TranslateError> {
    let mut entry = [0; 8];
    let part = if bytes == 4 { &mut entry[..4] } else { &mut entry[..] };
    memory.read(at, part).map_err(|_| TranslateError::Outside(at))?;
    Ok(u64::from_le_bytes(entry))
}

/// Error code of a fault, without the present bit.
fn code(page: &VcpuPage, access: Access) -> u32 {
    let user = if page.cpl == 3 { CODE_USER } else { 0 };
    let kind = match access {
        Access::Read => 0,
        Access::Write => CODE_WRITE,
        Access::Fetch if page.efer & EFER_NXE != 0 || page.cr4 & CR4_SMEP != 0 => CODE_FETCH,
        Access::Fetch => 0,
    };
    user | kind
}

/// Returns whether permissions, ANDed over the levels, allow the access.
fn permitted(page: &VcpuPage, access: Access, allowed: u64, no_execute: u64) -> bool {
    let user_page = allowed & USER != 0;
    let user_mode = page.cpl == 3;
    if user_mode && !user_page {
        return false;
    }
    match access {
        Access::Fetch => {
            (no_execute == 0 || page.efer & EFER_NXE == 0)
                && (user_mode || !user_page || page.cr4 & CR4_SMEP == 0)
        }
        Access::Read | Access::Write => {
            let smap = page.cr4 & CR4_SMAP != 0 && page.rflags & flag::ALIGNMENT == 0;
            if !user_mode && user_page && smap {
                return false;
            }
            let protect = user_mode || page.cr0 & CR0_WRITE_PROTECT != 0;
            access == Access::Read || allowed & WRITABLE != 0 || !protect
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, TranslateError, translate};
    use crate::boot::identity_tables;
    use crate::memory::{GuestMemory, PlainMemory};
    use crate::vcpu::blank_page;
    use abi::vcpu::VcpuPage;

    fn long_mode() -> (PlainMemory, VcpuPage) {
        let mut memory = PlainMemory::new(1 << 20);
        identity_tables(&mut memory, 0x2000, 4).unwrap();
        let mut page = blank_page();
        page.cr0 = abi::guest::CR0;
        page.cr3 = 0x2000;
        page.cr4 = abi::guest::CR4;
        page.efer = abi::guest::EFER;
        (memory, page)
    }

    #[test]
    fn identity_tables_translate_to_the_same_address() {
        let (memory, page) = long_mode();
        for address in [0, 0x1234, 0xfee0_0030, 0xffff_ffff] {
            assert_eq!(translate(&memory, &page, address, Access::Read), Ok(address));
        }
    }

    #[test]
    fn an_absent_page_is_a_fault_of_the_guest() {
        let (memory, page) = long_mode();
        let error = TranslateError::Fault { address: 1 << 32, code: 2 };
        assert_eq!(translate(&memory, &page, 1 << 32, Access::Write), Err(error));
    }

    #[test]
    fn user_mode_may_not_read_supervisor_pages() {
        let (memory, mut page) = long_mode();
        page.cpl = 3;
        let error = TranslateError::Fault { address: 0x1000, code: 5 };
        assert_eq!(translate(&memory, &page, 0x1000, Access::Read), Err(error));
    }

    #[test]
    fn a_table_outside_of_memory_is_no_fault_of_the_guest() {
        let (mut memory, page) = long_mode();
        memory.write_u64(0x2000, 0x7000_0003).unwrap();
        assert_eq!(translate(&memory, &page, 0, Access::Read), Err(TranslateError::Outside(0x7000_0000)));
    }

    #[test]
    fn without_paging_addresses_are_physical() {
        let memory = PlainMemory::new(0);
        assert_eq!(translate(&memory, &blank_page(), 0xfee0_0000, Access::Fetch), Ok(0xfee0_0000));
    }

    #[test]
    fn tables_of_32_bit_mode_are_understood() {
        let mut memory = PlainMemory::new(1 << 20);
        memory.write(0x1000 + 4, &0x0080_0083_u32.to_le_bytes()).unwrap();
        let mut page = blank_page();
        page.cr0 = 0x8000_0001;
        page.cr3 = 0x1000;
        page.cr4 = 0x10;
        assert_eq!(translate(&memory, &page, 0x0041_2345, Access::Read), Ok(0x0081_2345));
    }

    #[test]
    fn no_table_makes_the_walk_panic() {
        let mut state = 1_u64;
        let mut memory = PlainMemory::new(64 << 10);
        for word in memory.0.chunks_exact_mut(8) {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            word.copy_from_slice(&(state >> 3 & 0xffff_f8ff).to_le_bytes());
        }
        for i in 0..20_000_u64 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let mut page = blank_page();
            page.cr0 = 0x8001_0001;
            page.cr3 = state & 0xf000;
            page.cr4 = [0x30, 0x20, 0x10, 0x1020][i as usize % 4];
            page.efer = if i % 3 == 0 { 0xd00 } else { 0 };
            let _ = translate(&memory, &page, state.rotate_left(17), Access::Write);
        }
    }
}
