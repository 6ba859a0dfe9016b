// SPDX-License-Identifier: MIT OR Apache-2.0
//! MSR accesses as operating systems make them.

use super::*;
use crate::device::contract::Effect;
use crate::device::contract::Settings;

/// A vCPU's registers in long mode, by the order of [`Register`].
struct Plain([u64; 15]);

impl Registers for Plain {
    fn get(&self, register: Register) -> u64 {
        self.0[register as usize]
    }

    fn set(&mut self, register: Register, value: u64) {
        self.0[register as usize] = value;
    }
}

fn setup() -> (Board, Plain) {
    let board = Board::new(Settings { processors: 1, tsc_khz: 1_000_000, wall_base: 0, memory: 1 << 20 });
    let mut registers = Plain([0; 15]);
    registers.set(Register::Efer, 0xd00);
    registers.set(Register::Cr0, CR0_PG);
    (board, registers)
}

#[test]
fn efer_takes_what_a_guest_may_set_and_nothing_else() {
    let (mut board, mut registers) = setup();
    assert_eq!(write(&mut board, 0, EFER, 0xd01, &mut registers, 0), Ok(()));
    assert_eq!(read(&mut board, 0, EFER, &registers, 0), Ok(0xd01));
    assert_eq!(write(&mut board, 0, EFER, 0x901, &mut registers, 0), Ok(()));
    assert_eq!(read(&mut board, 0, EFER, &registers, 0), Ok(0xd01), "LMA is the processor's");
    for refused in [0x1d01, 0x4d01, 0xc01, u64::MAX] {
        assert_eq!(
            write(&mut board, 0, EFER, refused, &mut registers, 0),
            Err(GeneralProtection),
            "{refused:#x}"
        );
    }
    registers.set(Register::Cr0, 0);
    assert_eq!(write(&mut board, 0, EFER, 0, &mut registers, 0), Ok(()));
}

#[test]
fn setting_the_tsc_moves_its_offset() {
    let (mut board, mut registers) = setup();
    registers.set(Register::TscOffset, 100);
    write(&mut board, 0, TSC, 5000, &mut registers, 7000).unwrap();
    assert_eq!(registers.get(Register::TscOffset) as i64, 100 - 2000);
    assert_eq!(read(&mut board, 0, TSC, &registers, 7000), Ok(7000));
}

#[test]
fn the_local_apic_is_reached_as_linux_does() {
    let (mut board, mut registers) = setup();
    let base = read(&mut board, 0, APIC_BASE, &registers, 0).unwrap();
    assert_eq!(read(&mut board, 0, 0x802, &registers, 0), Err(GeneralProtection), "not yet x2APIC");
    write(&mut board, 0, APIC_BASE, base | 0x400, &mut registers, 0).unwrap();
    write(&mut board, 0, 0x80f, 0x1ff, &mut registers, 0).unwrap();
    write(&mut board, 0, 0x832, 0x400ec, &mut registers, 0).unwrap();
    write(&mut board, 0, TSC_DEADLINE, 900, &mut registers, 0).unwrap();
    assert_eq!(board.next_deadline(), Some(900));
    board.advance(900);
    assert_eq!(board.accept(0), Some(0xec));
    write(&mut board, 0, 0x83f, 0x44, &mut registers, 0).unwrap();
    write(&mut board, 0, 0x80b, 0, &mut registers, 0).unwrap();
    assert_eq!(board.pending(0), Some(0x44));
}

#[test]
fn the_clock_page_is_written_when_the_guest_asks() {
    let (mut board, mut registers) = setup();
    write(&mut board, 0, 0x4b56_4d01, 0x1001, &mut registers, 500).unwrap();
    let effects = board.take_effects();
    assert!(
        matches!(&effects[..], [Effect::Write(write)] if write.address == 0x1000 && write.bytes.len() == 32)
    );
}

#[test]
fn addresses_must_be_canonical_and_memory_types_valid() {
    let (mut board, mut registers) = setup();
    assert_eq!(write(&mut board, 0, 0xc000_0082, 0xffff_ffff_8000_0000, &mut registers, 0), Ok(()));
    assert_eq!(
        write(&mut board, 0, 0xc000_0082, 0x0000_8000_0000_0000, &mut registers, 0),
        Err(GeneralProtection)
    );
    assert_eq!(write(&mut board, 0, 0x277, 0x0007_0406_0007_0406, &mut registers, 0), Ok(()));
    assert_eq!(write(&mut board, 0, 0x277, 0x0007_0406_0007_0402, &mut registers, 0), Err(GeneralProtection));
}

#[test]
fn what_linux_reads_without_asking_has_a_value() {
    let (mut board, registers) = setup();
    for msr in [0x8b, 0xfe, 0x1a0, 0x1d9, 0xc001_0010, 0xc001_0015, 0xc001_0055, 0xc001_1029] {
        assert!(read(&mut board, 0, msr, &registers, 0).is_ok(), "{msr:#x}");
    }
}

#[test]
fn everything_else_is_refused_and_counted() {
    let (mut board, mut registers) = setup();
    for msr in [0x48, 0x3a, 0x480, 0xe7, 0x10a, 0xc000_0104, 0xc001_0114, 0xc001_0117, 0x4b56_4d02, u32::MAX]
    {
        assert_eq!(read(&mut board, 0, msr, &registers, 0), Err(GeneralProtection), "{msr:#x}");
        assert_eq!(write(&mut board, 0, msr, 0, &mut registers, 0), Err(GeneralProtection), "{msr:#x}");
    }
    assert_eq!(board.unclaimed.msrs, 20);
}
