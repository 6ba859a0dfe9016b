// SPDX-License-Identifier: MIT OR Apache-2.0
//! A fault before the core has its handlers: it is told on COM1, in 32-bit code as in 64-bit code.
//!
//! The fault is planted in a copy of the boot medium: an undefined instruction takes the place of
//! the one at a label of the core's entry (`hv/x86/src/boot/entry.rs`).

use crate::image::program;
use crate::process;
use crate::qemu::{Event, Machine};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// UD2.
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];
const MESSAGE: &str = "core: fault before the handlers are there, at ";
/// Labels, in the order in which a CPU comes by: 32-bit code without paging, 64-bit code at the
/// linked address, Rust.
const LABELS: [&str; 3] = ["boot_low", "boot_at_home", "boot_main"];

/// Plants each fault, and waits for its message, which ends with the place.
pub fn faults_are_told(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let core = program::built("understudy");
    let program = program::stripped(&core)?;
    let medium = std::fs::read(iso)?;
    let start = find(&medium, &program).context("the core is not in the medium as one piece")?;
    for label in LABELS {
        let address = address_of(&core, label)?;
        let at =
            start + file_offset(&program, address).with_context(|| format!("{label} is not in the file"))?;
        let mut planted = medium.clone();
        planted.get_mut(at..at + 2).context("the medium is cut short")?.copy_from_slice(&UNDEFINED);
        let copy = log.with_extension("iso");
        std::fs::write(&copy, &planted)?;
        let outcome = tell(machine, &copy, log, address);
        std::fs::remove_file(&copy)?;
        outcome.with_context(|| format!("a fault at {label} ({address:#x})"))?;
    }
    Ok(())
}

fn tell(machine: &Machine, iso: &Path, log: &Path, address: u64) -> Result<()> {
    let mut running = machine.start(iso, log)?;
    let deadline = running.deadline(Duration::from_secs(60));
    let told = loop {
        match running.next_within(&deadline)? {
            Event::Line(line) => match line.split(MESSAGE).nth(1) {
                Some(digits) => break u64::from_str_radix(digits.trim(), 16)?,
                None => ensure!(!line.starts_with("understudy "), "the core has started all the same"),
            },
            Event::Ended(status) => bail!("the machine ended in silence ({status})"),
            Event::TimedOut => bail!("nothing was told within the time limit"),
        }
    };
    // Without paging the code is where the loader put it, at a multiple of 2 MiB; the low 21 bits
    // are the same.
    const IN_PAGE: u64 = 0x1f_ffff;
    ensure!(told & IN_PAGE == address & IN_PAGE, "another place: {told:x}");
    Ok(())
}

fn find(medium: &[u8], program: &[u8]) -> Option<usize> {
    // Files begin at sectors of the medium.
    const SECTOR: usize = 2048;
    (0..medium.len()).step_by(SECTOR).find(|&at| medium[at..].starts_with(program))
}

/// Virtual address of a symbol; of a function of Rust the last part of its name is enough.
fn address_of(core: &Path, label: &str) -> Result<u64> {
    let symbols = process::output(Command::new("nm").arg(core))?;
    let line = symbols.lines().find(|line| {
        let name = line.rsplit(' ').next().unwrap_or_default();
        name == label || name.starts_with("_R") && name.ends_with(label)
    });
    let digits =
        line.and_then(|line| line.split(' ').next()).with_context(|| format!("no symbol {label}"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Offset in the ELF file of what is loaded at a virtual address.
fn file_offset(program: &[u8], address: u64) -> Option<usize> {
    const LOAD: u64 = 1;
    let read = |at: usize, bytes: usize| {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(program.get(at..at + bytes)?);
        Some(u64::from_le_bytes(word))
    };
    let (table, size, count) = (read(0x20, 8)?, read(0x36, 2)?, read(0x38, 2)?);
    (0..count).map(|number| (table + number * size) as usize).find_map(|header| {
        let (kind, offset) = (read(header, 4)?, read(header + 0x08, 8)?);
        let (start, length) = (read(header + 0x10, 8)?, read(header + 0x20, 8)?);
        let inside = address.checked_sub(start).filter(|inside| *inside < length)?;
        (kind == LOAD).then_some((offset + inside) as usize)
    })
}
