// SPDX-License-Identifier: MIT OR Apache-2.0
//! ACPI: from the root pointer to a table (ACPI 6.5, 5.2.5 to 5.2.8).

use core::ops::Range;

/// Physical memory, as far as the caller can reach it.
pub trait Physical {
    /// `length` bytes at `address`, if all of them can be read.
    fn read(&self, address: u64, length: usize) -> Option<&[u8]>;
}

/// Where the list of tables is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A list of 32-bit addresses.
    Rsdt(u64),
    /// A list of 64-bit addresses.
    Xsdt(u64),
}

/// Bytes of the header that every table begins with.
pub const HEADER: usize = 36;
/// Longest table that is read.
const LONGEST: usize = 1 << 20;
const ROOT_SIGNATURE: &[u8] = b"RSD PTR ";
/// GUID of the ACPI 2.0 root pointer in the EFI configuration table, as it lies in memory.
const EFI_ACPI_20: [u8; 16] =
    [0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81];

/// The little-endian number in the first bytes of `bytes` from `offset` on.
pub(crate) fn number<const N: usize>(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(N)?)?;
    Some(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// Where the list of tables is, by a root pointer.
#[must_use]
pub fn root(pointer: &[u8]) -> Option<Root> {
    if !pointer.starts_with(ROOT_SIGNATURE) || !sums_to_zero(pointer.get(..20)?) {
        return None;
    }
    if *pointer.get(15)? >= 2
        && let Some(whole) = pointer.get(..36)
        && sums_to_zero(whole)
    {
        let xsdt = number::<8>(whole, 24)?;
        if xsdt != 0 {
            return Some(Root::Xsdt(xsdt));
        }
    }
    match number::<4>(pointer, 16)? {
        0 => None,
        rsdt => Some(Root::Rsdt(rsdt)),
    }
}

/// The table at `address` with this signature, whole and with a right checksum.
#[must_use]
pub fn table<'a>(memory: &'a impl Physical, address: u64, signature: &[u8; 4]) -> Option<&'a [u8]> {
    let header = memory.read(address, HEADER)?;
    if !header.starts_with(signature) {
        return None;
    }
    let length = number::<4>(header, 4)? as usize;
    if !(HEADER..=LONGEST).contains(&length) {
        return None;
    }
    memory.read(address, length).filter(|bytes| sums_to_zero(bytes))
}

/// The first good table with this signature in the list at `root`.
#[must_use]
pub fn find<'a>(memory: &'a impl Physical, root: Root, signature: &[u8; 4]) -> Option<&'a [u8]> {
    let (list, width) = match root {
        Root::Rsdt(address) => (table(memory, address, b"RSDT")?, 4),
        Root::Xsdt(address) => (table(memory, address, b"XSDT")?, 8),
    };
    list.get(HEADER..)?.chunks_exact(width).find_map(|entry| {
        let address = if width == 4 { number::<4>(entry, 0) } else { number::<8>(entry, 0) };
        table(memory, address?, signature)
    })
}

/// Physical address of the root pointer: in the EFI configuration table if there is an EFI system
/// table, in the areas of a BIOS otherwise.
#[must_use]
pub fn root_address(memory: &impl Physical, efi_system_table: Option<u64>) -> Option<u64> {
    match efi_system_table {
        Some(address) => root_address_efi(memory, address),
        None => {
            let segment = number::<2>(memory.read(0x40e, 2)?, 0)? << 4;
            let extended = if segment >= 0x400 { segment..segment + 0x400 } else { 0..0 };
            [extended, 0xe_0000..0x10_0000].into_iter().find_map(|area| search(memory, area))
        }
    }
}

fn root_address_efi(memory: &impl Physical, system_table: u64) -> Option<u64> {
    let table = memory.read(system_table, 120)?;
    if !table.starts_with(b"IBI SYST") {
        return None;
    }
    let (count, entries) = (number::<8>(table, 104)?.min(256), number::<8>(table, 112)?);
    (0..count).find_map(|index| {
        let entry = memory.read(entries.checked_add(index * 24)?, 24)?;
        if entry.starts_with(&EFI_ACPI_20) { number::<8>(entry, 16) } else { None }
    })
}

fn search(memory: &impl Physical, area: Range<u64>) -> Option<u64> {
    area.step_by(16).find(|&address| {
        memory.read(address, 20).is_some_and(|bytes| bytes.starts_with(ROOT_SIGNATURE) && sums_to_zero(bytes))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    pub(crate) struct Image(pub Vec<u8>);

    impl Physical for Image {
        fn read(&self, address: u64, length: usize) -> Option<&[u8]> {
            let start = usize::try_from(address).ok()?;
            self.0.get(start..start.checked_add(length)?)
        }
    }

    pub(crate) fn sealed(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..4].copy_from_slice(signature);
        bytes[4..8].copy_from_slice(&((HEADER + body.len()) as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        bytes[9] = 0_u8.wrapping_sub(bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte)));
        bytes
    }

    fn machine() -> Image {
        let mut image = vec![0; 0x10_0000];
        let madt = sealed(b"APIC", &[1, 2, 3, 4, 5, 6, 7, 8]);
        let xsdt = sealed(b"XSDT", &[0x00, 0xff, 0, 0, 0, 0, 0, 0x80, 0x00, 0x20, 0, 0, 0, 0, 0, 0]);
        image[0x2000..0x2000 + madt.len()].copy_from_slice(&madt);
        image[0x3000..0x3000 + xsdt.len()].copy_from_slice(&xsdt);
        let mut pointer = [0_u8; 36];
        pointer[..8].copy_from_slice(ROOT_SIGNATURE);
        pointer[15] = 2;
        pointer[16..20].copy_from_slice(&0x4000_u32.to_le_bytes());
        pointer[20] = 36;
        pointer[24..32].copy_from_slice(&0x3000_u64.to_le_bytes());
        pointer[8] = 0_u8.wrapping_sub(pointer[..20].iter().fold(0, |sum, &byte| sum.wrapping_add(byte)));
        pointer[32] = 0_u8.wrapping_sub(pointer.iter().fold(0, |sum, &byte| sum.wrapping_add(byte)));
        image[0xf_0010..0xf_0034].copy_from_slice(&pointer);
        Image(image)
    }

    #[test]
    fn a_table_is_found_from_the_bios_area() {
        let image = machine();
        let address = root_address(&image, None).unwrap();
        assert_eq!(address, 0xf_0010);
        let root = root(image.read(address, 36).unwrap()).unwrap();
        assert_eq!(root, Root::Xsdt(0x3000));
        assert_eq!(find(&image, root, b"APIC").unwrap().len(), HEADER + 8);
        assert!(find(&image, root, b"FACP").is_none());
    }

    #[test]
    fn a_broken_table_is_none() {
        let mut image = machine();
        image.0[0x2000 + HEADER] ^= 1;
        assert!(find(&image, Root::Xsdt(0x3000), b"APIC").is_none());
        assert!(find(&image, Root::Rsdt(0x3000), b"APIC").is_none());
        image.0[0x3004] = 3;
        assert!(find(&image, Root::Xsdt(0x3000), b"APIC").is_none());
        assert!(root(b"RSD PTR ").is_none());
        assert!(root_address(&image, Some(0x2000)).is_none());
    }
}
