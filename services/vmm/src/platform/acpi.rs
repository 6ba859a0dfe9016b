// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ACPI tables of a virtual machine.
//!
//! Hardware-reduced ACPI: RSDP, XSDT, FADT, MADT and a DSDT with serial port, clock, processors and
//! the sleep state S5, in one block that goes to [`ADDRESS`], where an operating system also finds
//! it by searching. Numbers of ports and pins are those of [`crate::device`]. Follows ACPI
//! 6.5, 5.2.

use alloc::vec::Vec;

use crate::aml;
use crate::device::power::{SLEEP_STATUS_PORT, SLEEP_TYPE_OFF};
use crate::device::table::Devices;
use crate::device::{ioapic, lapic, rtc};
use abi::guest::{RESET, RESET_PORT, SLEEP_CONTROL_PORT};

/// Guest-physical address of the tables, RSDP first: within the 128 KiB that is searched for it.
pub const ADDRESS: u64 = 0xe_0000;
/// Bytes that the memory map of the guest should reserve there.
pub const RESERVED_BYTES: u64 = 0x2_0000;

const OEM: &[u8; 6] = b"UNDRST";
const OEM_TABLE: &[u8; 8] = b"UNDERSTD";
const CREATOR: &[u8; 4] = b"UNDR";
const ALIGNMENT: usize = 16;
const RSDP_BYTES: usize = 36;

/// The tables for `processors` vCPUs (APIC ids from 0 on), as bytes for guest-physical `address`.
#[must_use]
pub fn tables(address: u64, processors: u32) -> Vec<u8> {
    let mut block = alloc::vec![0; RSDP_BYTES];
    let mut place = |table: Vec<u8>| {
        block.resize(block.len().next_multiple_of(ALIGNMENT), 0);
        let at = address + block.len() as u64;
        block.extend_from_slice(&table);
        at
    };
    let dsdt = place(dsdt(processors));
    let listed = [place(fadt(dsdt)), place(madt(processors))];
    let xsdt = place(table(*b"XSDT", 1, listed.iter().flat_map(|entry| entry.to_le_bytes()).collect()));
    block[..RSDP_BYTES].copy_from_slice(&rsdp(xsdt));
    block
}

fn rsdp(xsdt: u64) -> Vec<u8> {
    const CHECKSUM: usize = 8;
    const LENGTH_OF_FIRST: usize = 20;
    const EXTENDED_CHECKSUM: usize = 32;
    let mut bytes = b"RSD PTR \0".to_vec();
    bytes.extend_from_slice(OEM);
    bytes.push(2);
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&(RSDP_BYTES as u32).to_le_bytes());
    bytes.extend_from_slice(&xsdt.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes[CHECKSUM] = checksum(&bytes[..LENGTH_OF_FIRST]);
    bytes[EXTENDED_CHECKSUM] = checksum(&bytes);
    bytes
}

/// A table with its header.
fn table(signature: [u8; 4], revision: u8, body: Vec<u8>) -> Vec<u8> {
    const HEADER_BYTES: usize = 36;
    const CHECKSUM: usize = 9;
    let mut bytes = signature.to_vec();
    bytes.extend_from_slice(&((HEADER_BYTES + body.len()) as u32).to_le_bytes());
    bytes.extend_from_slice(&[revision, 0]);
    bytes.extend_from_slice(OEM);
    bytes.extend_from_slice(OEM_TABLE);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(CREATOR);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend(body);
    bytes[CHECKSUM] = checksum(&bytes);
    bytes
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte))
}

/// A register in I/O space, one byte wide, as a generic address.
fn register(port: u16) -> [u8; 12] {
    const IO_SPACE: u8 = 1;
    const BYTE_ACCESS: u8 = 1;
    let [low, high] = port.to_le_bytes();
    [IO_SPACE, 8, 0, BYTE_ACCESS, low, high, 0, 0, 0, 0, 0, 0]
}

fn fadt(dsdt: u64) -> Vec<u8> {
    const BYTES: usize = 276;
    const REVISION: u8 = 6;
    /// Legacy devices are there (the serial port); no keyboard controller; no VGA.
    const BOOT_ARCHITECTURE: u16 = 1 | 1 << 2;
    /// WBINVD works, C1 is there, no fixed power and sleep buttons, reset register, headless,
    /// hardware-reduced.
    const FLAGS: u32 = 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 12 | 1 << 20;

    let mut body = alloc::vec![0; BYTES - 36];
    let mut put =
        |offset: usize, bytes: &[u8]| body[offset - 36..offset - 36 + bytes.len()].copy_from_slice(bytes);
    put(40, &(dsdt as u32).to_le_bytes());
    put(108, &[rtc::CENTURY]);
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    put(112, &FLAGS.to_le_bytes());
    put(116, &register(RESET_PORT));
    put(128, &[RESET]);
    put(131, &[5]);
    put(140, &dsdt.to_le_bytes());
    put(244, &register(SLEEP_CONTROL_PORT));
    put(256, &register(SLEEP_STATUS_PORT));
    put(268, b"UNDERSTD");
    table(*b"FACP", REVISION, body)
}

fn madt(processors: u32) -> Vec<u8> {
    const REVISION: u8 = 5;
    const LOCAL_APIC: u8 = 0;
    const IO_APIC: u8 = 1;
    const OVERRIDE: u8 = 2;
    const ENABLED: u32 = 1;
    /// Pins that an operating system takes for those of ISA, edge-triggered, unless it is told.
    const ISA_PINS: usize = 16;
    /// Edge-triggered, active high.
    const EDGE_HIGH: u16 = 0b0101;

    let mut body = (lapic::DEFAULT_BASE as u32).to_le_bytes().to_vec();
    body.extend_from_slice(&0_u32.to_le_bytes());
    for id in 0..processors.min(254) as u8 {
        body.extend_from_slice(&[LOCAL_APIC, 8, id, id]);
        body.extend_from_slice(&ENABLED.to_le_bytes());
    }
    body.extend_from_slice(&[IO_APIC, 12, 0, 0]);
    body.extend_from_slice(&(ioapic::BASE as u32).to_le_bytes());
    body.extend_from_slice(&0_u32.to_le_bytes());
    for pin in Devices::PINS.iter().copied().flatten().filter(|&pin| pin < ISA_PINS) {
        body.extend_from_slice(&[OVERRIDE, 10, 0, pin as u8]);
        body.extend_from_slice(&(pin as u32).to_le_bytes());
        body.extend_from_slice(&EDGE_HIGH.to_le_bytes());
    }
    table(*b"APIC", REVISION, body)
}

fn dsdt(processors: u32) -> Vec<u8> {
    const REVISION: u8 = 2;
    let mut devices = Devices::describe();
    devices.extend((0..processors.min(254)).map(processor));
    let off = aml::integer(SLEEP_TYPE_OFF.into());
    let sleep = aml::name(*b"_S5_", &aml::package(&[off.clone(), off, aml::integer(0), aml::integer(0)]));
    table(*b"DSDT", REVISION, [sleep, aml::scope(b"\\_SB_", &devices)].concat())
}

fn processor(id: u32) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |shift: u32| DIGITS[(id >> shift & 0xf) as usize];
    aml::device(
        [b'C', digit(8), digit(4), digit(0)],
        &[aml::name(*b"_HID", &aml::string("ACPI0007")), aml::name(*b"_UID", &aml::integer(id))],
    )
}

#[cfg(test)]
#[path = "acpi_tests.rs"]
mod tests;
