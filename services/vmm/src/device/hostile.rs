// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for every device, whatever a guest or a checkpoint does to it: properties over
//! accesses and saved states made up at random, the same ones in every run.

use super::board::{Board, MAX_PROCESSORS};
use super::contract::{Effect, Settings};
use super::pvclock::{SYSTEM_TIME, WALL_CLOCK};
use super::table::claims;
use super::uart::OUTPUT_BYTES;
use crate::platform::msr;
use state::{Check, Value as _, Violation};
use std::collections::BTreeMap;
use std::vec::Vec;

const SETTINGS: Settings =
    Settings { processors: 2, tsc_khz: 1_000_000, wall_base: 1_700_000_000_000_000_000, memory: 1 << 20 };

/// Made-up numbers, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// A value as hostile guests like them: extremes as often as anything between.
    fn value(&mut self) -> u64 {
        match self.below(4) {
            0 => u64::MAX << self.below(64),
            1 => 1 << self.below(64),
            _ => self.next() >> self.below(64),
        }
    }

    /// A port that some device answers at, or one beside it.
    fn port(&mut self) -> u16 {
        let claims = claims();
        let ranges: Vec<_> = claims.iter().flat_map(|(_, ports, _)| ports.iter()).collect();
        match self.below(8) {
            0 => self.next() as u16,
            _ => {
                let range = ranges[self.below(ranges.len() as u64) as usize];
                range.first.wrapping_sub(1).wrapping_add(self.below(u64::from(range.count) + 2) as u16)
            }
        }
    }

    fn address(&mut self, board: &Board, cpu: usize) -> u64 {
        let page = match self.below(8) {
            0 => self.next() & !0xfff,
            1..4 => super::ioapic::BASE,
            _ => board.devices.apics[cpu].page(),
        };
        // Registers lie 16 bytes apart.
        let offset = if self.below(4) == 0 { self.below(4096) } else { 16 * self.below(64) };
        page.wrapping_add(offset)
    }
}

/// One thing that a guest, its clock or the operator does to the devices.
fn act(board: &mut Board, numbers: &mut Numbers, now: &mut u64) {
    let cpu = numbers.below(board.devices.apics.len() as u64) as usize;
    let bytes = [1, 2, 4, 8][numbers.below(4) as usize];
    let value = numbers.value();
    match numbers.below(10) {
        0..2 => {
            board.read_port(numbers.port(), bytes.min(4), *now);
        }
        2..4 => board.write_port(numbers.port(), bytes.min(4), value as u32, *now),
        4 => {
            let address = numbers.address(board, cpu);
            board.read_memory(cpu, address, bytes, *now);
        }
        5..7 => {
            let address = numbers.address(board, cpu);
            board.write_memory(cpu, address, bytes, value, *now);
        }
        7 => any_msr(board, numbers, cpu, value, *now),
        8 => {
            *now = match numbers.below(64) {
                0 => numbers.next(),
                _ => now.wrapping_add(numbers.next() >> (20 + numbers.below(44))),
            };
            board.advance(*now);
        }
        _ => {
            board.send_serial(&vec![b'x'; numbers.below(6000) as usize]);
            board.accept(cpu);
        }
    }
}

/// An access to a made-up MSR, among them those of local APIC and clock.
fn any_msr(board: &mut Board, numbers: &mut Numbers, cpu: usize, value: u64, now: u64) {
    let clocks = [SYSTEM_TIME, WALL_CLOCK];
    let number = match numbers.below(4) {
        0 => clocks[numbers.below(2) as usize],
        1 => 0x1b,
        2 => 0x6e0,
        _ => 0x800 + numbers.below(0x40) as u32,
    };
    let mut registers = Nothing;
    let _ = msr::read(board, cpu, number, &registers, now);
    let _ = msr::write(board, cpu, number, value, &mut registers, now);
}

/// A vCPU whose registers are all zero.
struct Nothing;

impl msr::Registers for Nothing {
    fn get(&self, _: msr::Register) -> u64 {
        0
    }

    fn set(&mut self, _: msr::Register, _: u64) {}
}

/// Nothing that devices hold or ask for grows with what a guest does.
fn is_bounded(board: &mut Board) -> bool {
    let effects = board.take_effects();
    let inside = |effect: &Effect| match effect {
        Effect::Write(write) => write.address + write.bytes.len() as u64 <= SETTINGS.memory,
        _ => true,
    };
    let output = board.devices.uart.take_output().count();
    effects.iter().all(inside) && output <= OUTPUT_BYTES
}

#[test]
fn no_sequence_of_accesses_harms_the_monitor() {
    for seed in 1..200_u64 {
        let mut numbers = Numbers::of(seed);
        let processors = 1 + numbers.below(u64::from(MAX_PROCESSORS)) as u32;
        let tsc_khz = [0, 1, 1_000_000, 2_596_150, u64::MAX][numbers.below(5) as usize];
        let mut board = Board::new(Settings { processors, tsc_khz, ..SETTINGS });
        let mut now = numbers.value();
        for _ in 0..400 {
            act(&mut board, &mut numbers, &mut now);
            assert!(is_bounded(&mut board));
        }
    }
}

#[test]
fn what_a_guest_has_made_of_the_devices_passes_the_checks_and_comes_back() {
    for seed in 1..200_u64 {
        let mut numbers = Numbers::of(seed);
        let mut board = Board::new(SETTINGS);
        let mut now = 0;
        for _ in 0..400 {
            act(&mut board, &mut numbers, &mut now);
            board.take_effects();
        }
        let first = saved(&board, now);
        assert_eq!(check(&first), Ok(()), "{seed}");
        let mut second = Board::new(SETTINGS);
        second.load(&first);
        assert_eq!(saved(&second, now), first, "{seed}");
    }
}

#[test]
fn no_saved_state_harms_the_monitor() {
    let template = saved(&Board::new(SETTINGS), 0);
    for seed in 1..200_u64 {
        let mut numbers = Numbers::of(seed);
        let mut machine = template.clone();
        for (path, _) in template.values() {
            if numbers.below(3) == 0 {
                let value = numbers.value();
                let texts = [format!("{value}"), format!("{}", value as u8), format!("{:016x}", value)];
                let _ = texts.iter().any(|text| machine.set(&path, text).is_ok());
            }
        }
        let mut board = Board::new(SETTINGS);
        board.load(&machine);
        let mut now = numbers.value();
        for _ in 0..400 {
            act(&mut board, &mut numbers, &mut now);
            assert!(is_bounded(&mut board));
        }
    }
}

#[test]
fn no_two_devices_answer_at_one_port_or_drive_one_pin() {
    let (mut ports, mut pins) = (BTreeMap::new(), BTreeMap::new());
    for (name, ranges, pin) in claims() {
        for range in ranges {
            for port in range.first..=range.first + (range.count - 1) {
                assert_eq!(ports.insert(port, name), None, "port {port:#x}");
            }
        }
        if let Some(pin) = pin {
            assert!(pin < super::ioapic::PINS);
            assert_eq!(pins.insert(pin, name), None, "pin {pin}");
        }
    }
}

/// Checks the devices' part of a machine.
fn check(machine: &state::Machine) -> Result<(), Violation> {
    machine.apics.iter().try_for_each(Check::check)?;
    machine.ioapics.iter().try_for_each(Check::check)?;
    machine.uarts.iter().try_for_each(Check::check)?;
    machine.rtc.check()?;
    machine.clock.check()?;
    machine.power.check()
}

fn saved(board: &Board, now: u64) -> state::Machine {
    let mut machine = state::Machine::default();
    board.save(&mut machine, now);
    machine
}

#[test]
fn devices_that_were_saved_and_loaded_are_saved_alike() {
    let mut board = Board::new(SETTINGS);
    board.write_port(0x3fb, 1, 3, 5);
    board.write_port(0x3f9, 1, 5, 5);
    board.send_serial(b"abc");
    board.write_port(0x70, 1, 0x0b, 5);
    board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 5);
    board.write_memory(0, 0xfee0_0320, 4, 0x2_00ec, 5);
    board.write_memory(0, 0xfee0_0380, 4, 1000, 5);
    board.write_memory(0, 0xfec0_0000, 4, 0x18, 5);
    board.write_memory(0, 0xfec0_0010, 4, 0x24, 5);
    board.write_memory(1, 0xfee0_00f0, 4, 0x1ff, 5);
    board.write_clock(0, SYSTEM_TIME, 0x1001, 5);
    board.write_clock(1, SYSTEM_TIME, 0x1041, 5);
    board.write_clock(1, WALL_CLOCK, 0x2000, 5);
    let first = saved(&board, 1000);
    let mut second = Board::new(SETTINGS);
    second.load(&first);
    assert_eq!(saved(&second, 1000), first);
    assert_eq!(second.next_deadline(), board.next_deadline());
    assert_eq!(second.clock, board.clock);
    assert_eq!(second.devices.pvclock, board.devices.pvclock);
    board.write_port(0x70, 1, 0x0c, 6);
    board.send_serial(b"d");
    let later = saved(&board, 2000);
    second.load(&later);
    assert_eq!(saved(&second, 2000), later);
}
