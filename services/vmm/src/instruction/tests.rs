// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encodings as an assembler writes them, and encodings that no assembler writes.

use super::memory_access::{self, Bus};
use super::string_io::{self, Ports};
use super::{Expected, Problem, next_rip};
use crate::boot::identity_tables;
use crate::memory::{GuestMemory, PlainMemory};
use crate::vcpu::{blank_page, flag};
use abi::vcpu::{Segment, VcpuPage, gpr, segment};

const DEVICE: u64 = 0xfee0_0000;
const CODE: u64 = 0x8000;

/// A device of one register, and a record of what was written and how.
#[derive(Default)]
struct Register {
    value: u64,
    writes: Vec<(u64, usize, u64)>,
}

impl Bus for Register {
    fn read(&mut self, _: u64, bytes: usize) -> u64 {
        self.value & super::operand::mask(bytes)
    }

    fn write(&mut self, address: u64, bytes: usize, value: u64) {
        self.writes.push((address, bytes, value));
        self.value = value;
    }
}

#[derive(Default)]
struct Port {
    input: Vec<u8>,
    output: Vec<(u16, usize, u32)>,
}

impl Ports for Port {
    fn read(&mut self, _: u16, _: usize) -> u32 {
        u32::from(self.input.pop().unwrap_or(0xff))
    }

    fn write(&mut self, port: u16, bytes: usize, value: u32) {
        self.output.push((port, bytes, value));
    }
}

/// A guest in 64-bit mode with identity tables and these bytes at its instruction pointer.
fn guest(code: &[u8]) -> (PlainMemory, VcpuPage) {
    let mut memory = PlainMemory::new(1 << 20);
    identity_tables(&mut memory, 0x2000, 4).unwrap();
    memory.write(CODE, code).unwrap();
    let mut page = blank_page();
    page.rip = CODE;
    page.cr0 = abi::guest::CR0;
    page.cr3 = 0x2000;
    page.cr4 = abi::guest::CR4;
    page.efer = abi::guest::EFER;
    page.segments[segment::CS] =
        Segment { selector: 8, attributes: abi::guest::CODE_ATTRIBUTES, limit: u32::MAX, base: 0 };
    (memory, page)
}

/// Carries out one access; returns the page and the device.
fn access(code: &[u8], rax: u64, value: u64) -> (VcpuPage, Register) {
    let (mut memory, mut page) = guest(code);
    page.gpr[gpr::RAX] = rax;
    page.gpr[gpr::RCX] = 3;
    page.gpr[gpr::RDI] = DEVICE;
    page.gpr[gpr::RSI] = 0x9000;
    let mut device = Register { value, writes: Vec::new() };
    memory_access::perform(&mut memory, &mut page, DEVICE, &mut device).unwrap();
    assert_eq!(page.rip, CODE + code.len() as u64);
    (page, device)
}

#[test]
fn stores_of_every_width_reach_the_device() {
    for (code, expected) in [
        (&[0x89, 0x07][..], (DEVICE, 4, 0x5566_7788)),
        (&[0x88, 0x27], (DEVICE, 1, 0x77)),
        (&[0x66, 0x89, 0x07], (DEVICE, 2, 0x7788)),
        (&[0x48, 0x89, 0x07], (DEVICE, 8, 0x1122_3344_5566_7788)),
        (&[0xc7, 0x07, 0xf0, 0xff, 0xff, 0xff], (DEVICE, 4, 0xffff_fff0)),
        (&[0x89, 0x04, 0x25, 0xb0, 0x00, 0xe0, 0xfe], (DEVICE, 4, 0x5566_7788)),
    ] {
        let (_, device) = access(code, 0x1122_3344_5566_7788, 0);
        assert_eq!(device.writes, [expected], "{code:x?}");
    }
}

#[test]
fn loads_keep_or_clear_the_rest_of_the_register() {
    for (code, rax) in [
        (&[0x8b, 0x07][..], 0x8765_4321),
        (&[0x8a, 0x07], 0xffff_ffff_ffff_ff21),
        (&[0x8a, 0x27], 0xffff_ffff_ffff_21ff),
        (&[0x66, 0x8b, 0x07], 0xffff_ffff_ffff_4321),
        (&[0x0f, 0xb6, 0x07], 0x21),
        (&[0x48, 0x0f, 0xbe, 0x07], 0x21),
        (&[0x48, 0x63, 0x07], 0xffff_ffff_8765_4321),
        (&[0x0f, 0xb7, 0x07], 0x4321),
    ] {
        let (page, _) = access(code, u64::MAX, 0x8765_4321);
        assert_eq!(page.gpr[gpr::RAX], rax, "{code:x?}");
    }
}

#[test]
fn arithmetic_on_a_device_sets_flags() {
    let (page, device) = access(&[0x83, 0x0f, 0x01], 0, 0x8000_0000);
    assert_eq!(device.value, 0x8000_0001);
    assert_eq!(page.rflags & (flag::SIGN | flag::ZERO | flag::CARRY), flag::SIGN);
    let (page, device) = access(&[0x39, 0x07], 5, 5);
    assert!(device.writes.is_empty());
    assert_eq!(page.rflags & flag::ZERO, flag::ZERO);
    let (page, _) = access(&[0xf7, 0x07, 0x00, 0x10, 0x00, 0x00], 0, 0x1000);
    assert_eq!(page.rflags & flag::ZERO, 0);
    let (page, _) = access(&[0x2b, 0x07], 1, 2);
    assert_eq!(page.gpr[gpr::RAX], 0xffff_ffff);
    assert_eq!(page.rflags & flag::CARRY, flag::CARRY);
}

#[test]
fn exchange_and_string_stores_work() {
    let (page, device) = access(&[0x87, 0x07], 7, 9);
    assert_eq!((page.gpr[gpr::RAX], device.value), (9, 7));
    let (page, device) = access(&[0xf3, 0xab], 7, 0);
    assert_eq!(device.writes, [(DEVICE, 4, 7), (DEVICE + 4, 4, 7), (DEVICE + 8, 4, 7)]);
    assert_eq!((page.gpr[gpr::RCX], page.gpr[gpr::RDI]), (0, DEVICE + 12));
    let (_, device) = access(&[0xf3, 0xa5], 0, 0);
    assert_eq!(device.writes.len(), 3);
}

#[test]
fn the_next_instruction_is_found_behind_prefixes() {
    for (code, expected, length) in [
        (&[0x0f, 0xa2][..], Expected::Cpuid, 2),
        (&[0x66, 0xf3, 0x0f, 0xa2], Expected::Cpuid, 4),
        (&[0x0f, 0x01, 0xd9], Expected::Hypercall, 3),
        (&[0x0f, 0x01, 0xc1], Expected::Hypercall, 3),
        (&[0xf4], Expected::Halt, 1),
        (&[0x0f, 0x30], Expected::WriteMsr, 2),
        (&[0x48, 0x0f, 0x32], Expected::ReadMsr, 3),
        (&[0x0f, 0x01, 0xd1], Expected::SetXcr, 3),
        (&[0x0f, 0x09], Expected::Invalidate, 2),
        (&[0x66, 0xef], Expected::PortIo, 2),
    ] {
        let (memory, page) = guest(code);
        assert_eq!(next_rip(&memory, &page, expected), Ok(CODE + length), "{code:x?}");
    }
    let (memory, page) = guest(&[0x90]);
    assert_eq!(next_rip(&memory, &page, Expected::Halt), Err(Problem::Changed));
}

#[test]
fn string_output_reads_guest_memory() {
    let (mut memory, mut page) = guest(&[0xf3, 0x6e]);
    memory.write(0x9000, b"hello").unwrap();
    page.gpr[gpr::RSI] = 0x9000;
    page.gpr[gpr::RCX] = 5;
    page.gpr[gpr::RDX] = 0x3f8;
    let mut port = Port::default();
    string_io::perform(&mut memory, &mut page, &mut port).unwrap();
    let bytes: Vec<u8> = port.output.iter().map(|&(_, _, value)| value as u8).collect();
    assert_eq!(bytes, b"hello");
    assert_eq!((page.rip, page.gpr[gpr::RCX], page.gpr[gpr::RSI]), (CODE + 2, 0, 0x9005));
}

#[test]
fn string_input_writes_guest_memory_across_pages() {
    let (mut memory, mut page) = guest(&[0xf3, 0x6d]);
    page.gpr[gpr::RDI] = 0x9ffe;
    page.gpr[gpr::RCX] = 2;
    let mut port = Port { input: vec![0x22, 0x11], output: Vec::new() };
    string_io::perform(&mut memory, &mut page, &mut port).unwrap();
    assert_eq!(&memory.0[0x9ffe..0xa006], &[0x11, 0, 0, 0, 0x22, 0, 0, 0]);
}

#[test]
fn a_string_that_meets_an_absent_page_stops_before_it() {
    let (mut memory, mut page) = guest(&[0xf3, 0x6e]);
    page.gpr[gpr::RSI] = 0xffff_ffff;
    page.gpr[gpr::RCX] = 4;
    let mut port = Port::default();
    let error = string_io::perform(&mut memory, &mut page, &mut port).unwrap_err();
    assert!(matches!(error, Problem::Translate(_)));
    assert_eq!((page.rip, page.gpr[gpr::RCX], page.gpr[gpr::RSI]), (CODE, 3, 1 << 32));
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..200_000 {
        let mut code = [0; 16];
        code[..8].copy_from_slice(&random().to_le_bytes());
        code[8..].copy_from_slice(&random().to_le_bytes());
        let (mut memory, mut page) = small_guest(&code);
        for register in &mut page.gpr {
            *register = random();
        }
        page.rflags = random();
        page.cpl = random() & 3;
        if round % 3 == 1 {
            page.segments[segment::CS].attributes = 0xc9b;
        } else if round % 3 == 2 {
            page.cr0 = 0;
            page.efer = 0;
            page.segments[segment::CS].attributes = 0x9b;
        }
        let mut device = Register { value: random(), writes: Vec::new() };
        let _ = memory_access::perform(&mut memory, &mut page, DEVICE + (random() & 0xfff), &mut device);
        let _ = string_io::perform(&mut memory, &mut page, &mut Port::default());
        let _ = next_rip(&memory, &page, Expected::Cpuid);
    }
}

/// The same guest without paging tables to build: 64-bit code in memory that ends behind it.
fn small_guest(code: &[u8]) -> (PlainMemory, VcpuPage) {
    let mut memory = PlainMemory::new(0x1000);
    memory.write(0x800, code).unwrap();
    let mut page = blank_page();
    page.rip = 0x800;
    page.efer = abi::guest::EFER;
    page.segments[segment::CS].attributes = abi::guest::CODE_ATTRIBUTES;
    (memory, page)
}
