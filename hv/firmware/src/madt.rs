// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MADT: processors and interrupt controllers (ACPI 6.5, 5.2.12).

use crate::acpi::{HEADER, number};
use crate::list::List;

/// Most processors that are read.
pub const MAX_PROCESSORS: usize = 512;
/// Most I/O APICs that are read.
pub const MAX_IO_APICS: usize = 16;
/// ISA interrupt lines.
pub const ISA_LINES: usize = 16;

/// An I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Global system interrupt of its first pin.
    pub gsi_base: u32,
}

/// Where an ISA interrupt line goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Global system interrupt.
    pub gsi: u32,
    /// Level-triggered.
    pub level: bool,
    /// Active low.
    pub low: bool,
}

/// What the core needs of the MADT.
#[derive(Clone, Debug)]
pub struct Madt {
    /// Physical address of the local APICs' registers.
    pub local_apic: u64,
    /// APIC ids of the processors that are enabled, each once, in the order of the table.
    pub processors: List<u32, MAX_PROCESSORS>,
    /// I/O APICs.
    pub io_apics: List<IoApic, MAX_IO_APICS>,
    /// ISA interrupt lines.
    pub isa: [Line; ISA_LINES],
}

const ENABLED: u64 = 1;
const LOCAL_APIC: u8 = 0;
const IO_APIC: u8 = 1;
const SOURCE_OVERRIDE: u8 = 2;
const LOCAL_APIC_ADDRESS: u8 = 5;
const LOCAL_X2APIC: u8 = 9;

impl Madt {
    /// What is true where no table says otherwise.
    #[must_use]
    pub fn empty() -> Self {
        let mut isa = [Line::default(); ISA_LINES];
        for (line, gsi) in isa.iter_mut().zip(0..) {
            line.gsi = gsi;
        }
        Self {
            local_apic: 0xfee0_0000,
            processors: List::new(0),
            io_apics: List::new(IoApic { address: 0, gsi_base: 0 }),
            isa,
        }
    }

    /// Reads the table (signature and checksum have been looked at). Entries that are cut off or
    /// make no sense are passed over.
    #[must_use]
    pub fn parse(table: &[u8]) -> Self {
        let mut madt = Self::empty();
        if let Some(address) = number::<4>(table, HEADER) {
            madt.local_apic = address;
        }
        let mut rest = table.get(HEADER + 8..).unwrap_or(&[]);
        while let [kind, length, ..] = *rest {
            let length = usize::from(length);
            if length < 2 {
                break;
            }
            let Some((entry, after)) = rest.split_at_checked(length) else { break };
            let _ = madt.entry(kind, entry);
            rest = after;
        }
        madt
    }

    fn entry(&mut self, kind: u8, entry: &[u8]) -> Option<()> {
        match kind {
            LOCAL_APIC if number::<4>(entry, 4)? & ENABLED != 0 => self.processor(u32::from(*entry.get(3)?)),
            LOCAL_X2APIC if number::<4>(entry, 8)? & ENABLED != 0 => {
                self.processor(number::<4>(entry, 4)? as u32)
            }
            IO_APIC => {
                let io_apic =
                    IoApic { address: number::<4>(entry, 4)?, gsi_base: number::<4>(entry, 8)? as u32 };
                self.io_apics.push(io_apic);
            }
            SOURCE_OVERRIDE => {
                let (gsi, flags) = (number::<4>(entry, 4)? as u32, number::<2>(entry, 8)?);
                let line = self.isa.get_mut(usize::from(*entry.get(3)?))?;
                *line = Line { gsi, level: flags >> 2 & 3 == 3, low: flags & 3 == 3 };
            }
            LOCAL_APIC_ADDRESS => self.local_apic = number::<8>(entry, 4)?,
            _ => {}
        }
        Some(())
    }

    fn processor(&mut self, id: u32) {
        // Broadcast ids name no processor; some firmware lists each processor in both forms.
        let nobody = id == u32::MAX || id == 0xff;
        if !nobody && !self.processors.contains(&id) {
            self.processors.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::acpi::tests::{Image, sealed};
    use crate::acpi::{Root, find, table};
    use std::vec::Vec;

    fn sample() -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&0xfee0_0000_u32.to_le_bytes());
        body.extend_from_slice(&1_u32.to_le_bytes());
        body.extend_from_slice(&[0, 8, 0, 3, 1, 0, 0, 0]);
        body.extend_from_slice(&[0, 8, 1, 4, 0, 0, 0, 0]);
        body.extend_from_slice(&[9, 16, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        body.extend_from_slice(&[9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        body.extend_from_slice(&[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        body.extend_from_slice(&[2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&[2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0]);
        body.extend_from_slice(&[4, 6, 0xff, 0, 0, 1]);
        sealed(b"APIC", &body)
    }

    #[test]
    fn the_entries_are_read() {
        let madt = Madt::parse(&sample());
        assert_eq!(madt.local_apic, 0xfee0_0000);
        assert_eq!(madt.processors.as_slice(), [3, 300]);
        assert_eq!(madt.io_apics.as_slice(), [IoApic { address: 0xfec0_0000, gsi_base: 0 }]);
        assert_eq!(madt.isa[0], Line { gsi: 2, level: false, low: false });
        assert_eq!(madt.isa[9], Line { gsi: 9, level: true, low: true });
        assert_eq!(madt.isa[4], Line { gsi: 4, level: false, low: false });
    }

    #[test]
    fn every_cut_is_survived() {
        let whole = sample();
        for length in 0..whole.len() {
            let madt = Madt::parse(&whole[..length]);
            assert!(madt.processors.len() <= 2);
        }
    }

    #[test]
    fn noise_is_survived() {
        let mut seed = 1_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for round in 0..20_000 {
            let mut bytes = sample();
            if round % 2 == 0 {
                bytes.resize((random() % 2048) as usize, 0);
                bytes
                    .iter_mut()
                    .skip(if round % 4 == 0 { 0 } else { HEADER })
                    .for_each(|byte| *byte = random() as u8);
            } else {
                for _ in 0..=random() % 8 {
                    let index = (random() % bytes.len() as u64) as usize;
                    bytes[index] = random() as u8;
                }
            }
            let madt = Madt::parse(&bytes);
            assert!(madt.processors.iter().all(|&id| id != u32::MAX));
            let image = Image(bytes);
            let _ = table(&image, random() % 64, b"APIC");
            let _ = find(&image, Root::Xsdt(0), b"APIC");
            let _ = crate::acpi::root(&image.0);
            let _ = crate::acpi::root_address(&image, Some(random() % 64));
        }
    }
}
