// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices together, as a guest drives them.

use super::*;

fn board(processors: u32) -> Board {
    let mut board = Board::new(Settings {
        processors,
        tsc_khz: 1_000_000,
        wall_base: 1_795_353_255_000_000_000,
        memory: 1 << 28,
    });
    for cpu in 0..board.devices.apics.len() {
        board.write_memory(cpu, 0xfee0_00f0, 4, 0x1ff, 0);
    }
    board
}

fn set_pin(board: &mut Board, pin: u32, entry: u64) {
    for (half, value) in [(1, entry >> 32), (0, entry & 0xffff_ffff)] {
        board.write_memory(0, 0xfec0_0000, 4, u64::from(0x10 + 2 * pin + half), 0);
        board.write_memory(0, 0xfec0_0010, 4, value, 0);
    }
}

#[test]
fn a_key_pressed_interrupts_the_guest_once_until_it_is_read() {
    let mut board = board(1);
    set_pin(&mut board, 4, 0x24);
    board.write_port(0x3fa, 1, 1, 0);
    board.write_port(0x3f9, 1, 1, 0);
    board.send_serial(b"k");
    assert_eq!(board.accept(0), Some(0x24));
    board.write_memory(0, 0xfee0_00b0, 4, 0, 0);
    board.send_serial(b"l");
    assert_eq!(board.pending(0), None, "the line is still up");
    assert_eq!(board.read_port(0x3f8, 1, 0), u32::from(b'k'));
    assert_eq!(board.read_port(0x3f8, 1, 0), u32::from(b'l'));
    board.send_serial(b"m");
    assert_eq!(board.pending(0), Some(0x24));
}

#[test]
fn the_transmitter_interrupts_for_as_long_as_the_driver_writes() {
    let mut board = board(1);
    set_pin(&mut board, 4, 0x24);
    board.write_port(0x3f9, 1, 2, 0);
    for _ in 0..3 {
        assert_eq!(board.accept(0), Some(0x24));
        assert_eq!(board.read_port(0x3fa, 1, 0) & 0xf, 2);
        board.write_memory(0, 0xfee0_00b0, 4, 0, 0);
        board.write_port(0x3f8, 1, u32::from(b'.'), 0);
    }
    assert_eq!(board.devices.uart.take_output().count(), 3);
}

#[test]
fn a_level_triggered_pin_comes_back_until_its_cause_is_gone() {
    let mut board = board(1);
    set_pin(&mut board, 4, 0x8024);
    board.write_port(0x3f9, 1, 1, 0);
    board.send_serial(b"k");
    assert_eq!(board.accept(0), Some(0x24));
    board.write_memory(0, 0xfee0_00b0, 4, 0, 0);
    assert_eq!(board.accept(0), Some(0x24));
    board.read_port(0x3f8, 1, 0);
    board.write_memory(0, 0xfee0_00b0, 4, 0, 0);
    assert_eq!(board.pending(0), None);
}

#[test]
fn a_second_processor_is_started_by_init_and_startup() {
    let mut board = board(2);
    board.write_memory(0, 0xfee0_0310, 4, 1 << 24, 0);
    board.write_memory(0, 0xfee0_0300, 4, 0xc500, 0);
    board.write_memory(0, 0xfee0_0300, 4, 0x8500, 0);
    board.write_memory(0, 0xfee0_0300, 4, 0x0609, 0);
    assert_eq!(board.take_effects(), [Effect::Init(1), Effect::Startup(1, 9)]);
    assert!(!board.has_effects());
}

#[test]
fn interprocessor_interrupts_reach_whom_they_are_for() {
    let mut board = board(3);
    board.write_memory(1, 0xfee0_0300, 4, 0x000c_40fb, 0);
    let pending = [0, 1, 2].map(|cpu| board.pending(cpu));
    assert_eq!(pending, [Some(0xfb), None, Some(0xfb)]);
    board.write_memory(2, 0xfee0_0300, 4, 0x0004_0041, 0);
    assert_eq!((board.accept(2), board.pending(1)), (Some(0xfb), None));
}

#[test]
fn lowest_priority_goes_to_one_processor_only() {
    let mut board = board(2);
    board.write_memory(0, 0xfee0_0080, 4, 0x20, 0);
    set_pin(&mut board, 4, 0xff00_0000_0000_0124);
    board.write_port(0x3f9, 1, 2, 0);
    assert_eq!([board.pending(0), board.pending(1)], [None, Some(0x24)]);
}

#[test]
fn power_off_and_reset_are_asked_of_the_monitor() {
    let mut board = board(1);
    board.write_port(0xcf8, 4, 0x8000_0600, 0);
    assert!(!board.has_effects(), "a PCI address is no reset");
    board.write_port(0x604, 1, 0x34, 0);
    board.write_port(0xcf9, 1, 6, 0);
    assert_eq!(board.take_effects(), [Effect::PowerOff, Effect::Reset]);
}

#[test]
fn what_nobody_answers_reads_as_ones_and_is_counted() {
    let mut board = board(1);
    assert_eq!(board.read_port(0xcfc, 4, 0), u32::MAX);
    assert_eq!(board.read_port(0x64, 1, 0), 0xff);
    board.write_port(0x80, 1, 0, 0);
    assert_eq!(board.read_memory(0, 0xfed0_0000, 4, 0), 0xffff_ffff);
    board.write_memory(0, 0xfed0_0000, 8, 1, 0);
    let expected = Unclaimed { port_reads: 5, port_writes: 1, memory_reads: 1, memory_writes: 1, msrs: 0 };
    assert_eq!(board.unclaimed, expected);
}

#[test]
fn the_clock_shows_the_wall_time_of_the_guests_tsc() {
    let mut board = board(1);
    board.write_port(0x70, 1, 0, 0);
    assert_eq!(board.read_port(0x71, 1, 0), 0x15);
    assert_eq!(board.read_port(0x71, 1, 20_000_000_000), 0x35);
}

#[test]
fn narrow_reads_of_a_register_get_their_bytes() {
    let mut board = board(1);
    assert_eq!(board.read_memory(0, 0xfee0_0032, 1, 0), 0x05);
    assert_eq!(board.read_memory(0, 0xfee0_0030, 8, 0), 0x0005_0014);
}
