// SPDX-License-Identifier: MIT OR Apache-2.0
//! A made-up bzImage, and what the loader makes of it and of its mutilations.

use super::{BOOT_PARAMS, COMMAND_LINE, Header, Linux, load};
use crate::boot::BootError;
use crate::memory::{GuestMemory, PlainMemory};
use crate::vcpu::blank_page;
use abi::vcpu::{VcpuPage, gpr, segment};

const MIB: usize = 1 << 20;

/// One setup sector, 64 KiB of kernel that needs 4 MiB to unpack, preferred at 16 MiB.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes.extend((0..64 << 10).map(|i: u32| i as u8));
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0x1f1, &[1]);
    put(0x1f4, &4096_u32.to_le_bytes());
    put(0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x230, &0x20_0000_u32.to_le_bytes());
    put(0x234, &[1, 21, 0x3f, 0]);
    put(0x238, &2047_u32.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x40_0000_u32.to_le_bytes());
    bytes
}

fn start(kernel: &[u8], bytes: usize, command_line: &str) -> Result<(PlainMemory, Box<VcpuPage>), BootError> {
    let mut memory = PlainMemory::new(bytes);
    let mut page = Box::new(blank_page());
    let linux =
        Linux { kernel, initrd: b"disk!", command_line, token: Some([0x11; 16]), acpi_rsdp: 0xe_0000 };
    load(&mut memory, &mut page, &linux)?;
    Ok((memory, page))
}

fn word(memory: &PlainMemory, address: u64) -> u32 {
    memory.read_u64(address).unwrap() as u32
}

#[test]
fn the_kernel_is_entered_at_its_preferred_address() {
    let (memory, page) = start(&image(), 64 * MIB, "console=ttyS0").unwrap();
    assert_eq!(page.rip, 0x100_0200);
    assert_eq!(page.gpr[gpr::RSI], BOOT_PARAMS);
    assert_eq!(page.segments[segment::CS].selector, 0x10);
    assert_eq!(page.segments[segment::DS].selector, 0x18);
    assert_eq!(&memory.0[16 * MIB..16 * MIB + 4], &[0, 1, 2, 3]);
}

#[test]
fn a_jump_to_the_reset_vector_asks_for_a_reset() {
    let (memory, _) = start(&image(), 64 * MIB, "").unwrap();
    assert_eq!(&memory.0[0xf_fff0..0xf_fff6], &[0xb0, 6, 0xba, 0xf9, 0x0c, 0xee]);
}

#[test]
fn the_zero_page_names_everything() {
    let (memory, _) = start(&image(), 64 * MIB, "console=ttyS0").unwrap();
    assert_eq!(word(&memory, BOOT_PARAMS + 0x202), u32::from_le_bytes(*b"HdrS"));
    assert_eq!(memory.read_u64(BOOT_PARAMS + 0x70), Ok(0xe_0000));
    assert_eq!(u64::from(word(&memory, BOOT_PARAMS + 0x228)), COMMAND_LINE);
    assert_eq!(&memory.0[COMMAND_LINE as usize..][..14], b"console=ttyS0\0");
    assert_eq!(memory.0[BOOT_PARAMS as usize + 0x1e8], 4);
    assert_eq!(memory.read_u64(BOOT_PARAMS + 0x2d0 + 60), Ok(0x10_0000));
    assert_eq!(memory.read_u64(BOOT_PARAMS + 0x2d0 + 68), Ok(63 << 20));
}

#[test]
fn the_token_follows_the_disk_at_the_top_of_memory() {
    let (memory, _) = start(&image(), 64 * MIB, "").unwrap();
    let at = word(&memory, BOOT_PARAMS + 0x218) as usize;
    let bytes = word(&memory, BOOT_PARAMS + 0x21c) as usize;
    assert!(at.is_multiple_of(4096) && at + bytes <= 64 * MIB && at + bytes > 64 * MIB - 8192);
    assert_eq!(&memory.0[at..at + 8], b"disk!\0\0\0");
    assert_eq!(&memory.0[at + 8..at + 14], b"070701");
    let text = String::from_utf8_lossy(&memory.0[at..at + bytes]).into_owned();
    assert!(text.contains(&"11".repeat(16)));
}

#[test]
fn a_small_memory_gets_a_relocated_kernel_or_a_clear_refusal() {
    let (_, page) = start(&image(), 8 * MIB, "").unwrap();
    assert_eq!(page.rip, 0x20_0200);
    assert_eq!(start(&image(), 4 * MIB, "").err(), Some(BootError::MemoryTooSmall(6 << 20)));
}

#[test]
fn kernels_cut_anywhere_are_refused() {
    let image = image();
    for length in 0..=image.len() - 16 {
        assert!(Header::parse(&image[..length]).is_err(), "cut at {length}");
    }
    assert!(start(&image[..image.len() - 16], 32 * MIB, "").is_err());
}

#[test]
fn a_kernel_whose_last_paragraph_is_not_whole_is_taken() {
    let image = image();
    assert_eq!(start(&image[..image.len() - 8], 32 * MIB, "").err(), None, "memtest86+ is built so");
}

#[test]
fn what_is_no_linux_kernel_is_named() {
    let error = |image: &[u8]| start(image, 2 * MIB, "").err().unwrap().to_string();
    let elf = error(b"\x7fELF\x02\x01");
    assert!(elf.contains("an ELF file") && elf.contains("supported is a bzImage"), "{elf}");
    assert!(error(b"MZ").contains("an EFI program"));
    assert!(error(b"").contains("empty"));
    let mut narrow = image();
    narrow[0x236] = 4;
    assert!(error(&narrow).contains("a 32-bit entry only; supported is"));
}

#[test]
fn mutilated_headers_never_panic() {
    let good = image();
    for at in 0x1f1..0x268 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = start(&bad, 2 * MIB, "x");
        }
    }
}

#[test]
fn refusals_say_why() {
    let mut old = image();
    old[0x206] = 0x0b;
    assert_eq!(start(&old, 64 * MIB, "").err(), Some(BootError::OldProtocol(0x020b)));
    let mut narrow = image();
    narrow[0x236] = 0;
    assert_eq!(start(&narrow, 64 * MIB, "").err(), Some(BootError::No64BitEntry));
    let long = "x".repeat(2048);
    assert_eq!(start(&image(), 64 * MIB, &long).err(), Some(BootError::CommandLineTooLong(2047)));
    assert_eq!(BootError::OldProtocol(0x020b).to_string(), "boot protocol 2.11 is too old: 2.12 is needed");
}
