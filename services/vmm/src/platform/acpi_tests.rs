// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables, walked as an operating system does, and read by the reference compiler where it is
//! installed.

use super::*;
use std::process::Command;

fn word(block: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(block[at..at + 8].try_into().unwrap())
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// The table at an address, by its own length.
fn at(block: &[u8], address: u64) -> &[u8] {
    let start = (address - ADDRESS) as usize;
    let length = u32::from_le_bytes(block[start + 4..start + 8].try_into().unwrap()) as usize;
    &block[start..start + length]
}

/// FADT, MADT and DSDT.
fn walk(block: &[u8]) -> [&[u8]; 3] {
    let xsdt = at(block, word(block, 24));
    let fadt = at(block, word(xsdt, 36));
    [fadt, at(block, word(xsdt, 44)), at(block, word(fadt, 140))]
}

#[test]
fn every_table_is_found_from_the_root_and_sums_to_zero() {
    let block = tables(ADDRESS, 3);
    assert_eq!(&block[..8], b"RSD PTR ");
    assert_eq!((sum(&block[..20]), sum(&block[..36])), (0, 0));
    let [fadt, madt, dsdt] = walk(&block);
    for (table, signature) in [(fadt, b"FACP"), (madt, b"APIC"), (dsdt, b"DSDT")] {
        assert_eq!((&table[..4], sum(table)), (&signature[..], 0));
    }
    assert!(block.len() < 4096);
}

#[test]
fn the_fadt_is_hardware_reduced_and_tells_the_registers() {
    let block = tables(ADDRESS, 1);
    let [fadt, ..] = walk(&block);
    let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
    assert_eq!((fadt.len(), flags & (1 << 20 | 1 << 10)), (276, 1 << 20 | 1 << 10));
    assert_eq!((&fadt[116..122], fadt[128]), (&[1, 8, 0, 1, 0xf9, 0x0c][..], 6));
    assert_eq!(&fadt[244..250], [1, 8, 0, 1, 0x04, 0x06]);
    assert_eq!(&fadt[256..262], [1, 8, 0, 1, 0x05, 0x06]);
    assert_eq!(fadt[109] & 0b10, 0, "no keyboard controller");
}

#[test]
fn the_madt_lists_a_local_apic_per_processor() {
    let block = tables(ADDRESS, 4);
    let [_, madt, _] = walk(&block);
    assert_eq!(madt[40] & 1, 0, "no PIC");
    let mut rest = &madt[44..];
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        kinds.push(rest[0]);
        rest = &rest[usize::from(rest[1])..];
    }
    assert_eq!(kinds, [0, 0, 0, 0, 1, 2]);
}

#[test]
fn the_reference_compiler_reads_the_tables_back() {
    if Command::new("iasl").arg("-v").output().is_err() {
        eprintln!("iasl is not installed: not checked");
        return;
    }
    let folder = std::env::temp_dir().join(format!("understudy-acpi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let block = tables(ADDRESS, 2);
    for (table, name) in walk(&block).iter().zip(["facp", "apic", "dsdt"]) {
        let file = folder.join(format!("{name}.aml"));
        std::fs::write(&file, table).unwrap();
        let run = |command: &mut Command| {
            let output = command.current_dir(&folder).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {text}");
            text.into_owned()
        };
        let text = run(Command::new("iasl").arg("-d").arg(&file));
        assert!(!text.contains("Error") && !text.contains("Invalid"), "{text}");
        let text =
            run(Command::new("iasl").args(["-p", &format!("{name}-again")]).arg(file.with_extension("dsl")));
        assert!(text.contains(" 0 Errors") || name != "dsdt", "{text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
