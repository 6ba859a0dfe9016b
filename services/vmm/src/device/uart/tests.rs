// SPDX-License-Identifier: MIT OR Apache-2.0
//! What drivers do to a 16550A, step by step.

use super::*;
use crate::device::contract::Device as _;
use crate::device::time::Clock;

fn output(uart: &mut Uart) -> Vec<u8> {
    uart.take_output().collect()
}

#[test]
fn a_byte_written_comes_out_and_the_transmitter_is_empty_at_once() {
    let mut uart = Uart::reset();
    uart.write_register(0, b'a');
    uart.write_register(0, b'b');
    assert_eq!(uart.read_register(5), 0x60);
    assert_eq!(output(&mut uart), b"ab");
    assert!(!uart.has_output());
}

#[test]
fn the_divisor_latch_hides_data_and_interrupt_enable() {
    let mut uart = Uart::reset();
    uart.write_register(1, 5);
    uart.write_register(3, 0x83);
    uart.write_register(0, 0x34);
    uart.write_register(1, 0x12);
    assert_eq!((uart.read_register(0), uart.read_register(1)), (0x34, 0x12));
    uart.write_register(3, 3);
    assert_eq!((uart.read_register(1), uart.read_register(3)), (5, 3));
    assert!(!uart.has_output());
}

#[test]
fn interrupt_enable_has_four_bits() {
    let mut uart = Uart::reset();
    uart.write_register(1, 0xff);
    assert_eq!(uart.read_register(1), 0xf);
    uart.write_register(1, 0);
    assert_eq!(uart.read_register(1), 0);
}

#[test]
fn the_loopback_test_of_linux_finds_a_port() {
    let mut uart = Uart::reset();
    uart.write_register(4, 0x10 | 0x08 | 0x02);
    assert_eq!(uart.read_register(6) & 0xf0, 0x90);
    uart.write_register(4, 0x1f);
    assert_eq!(uart.read_register(6) & 0xf0, 0xf0);
    uart.write_register(4, 0);
    assert_eq!(uart.read_register(6) & 0xf0, 0xb0);
}

#[test]
fn linux_takes_it_for_a_16550a_and_nothing_newer() {
    let mut uart = Uart::reset();
    assert_eq!(uart.read_register(2), 0x01, "without FIFOs there are no FIFO bits");
    uart.write_register(3, 0xbf);
    uart.write_register(2, 0);
    uart.write_register(3, 0);
    uart.write_register(2, 1);
    assert_eq!(uart.read_register(2) >> 6, 3, "16550A");
    uart.write_register(3, 0x80);
    assert_ne!(uart.read_register(2), 0, "no 16C950");
    uart.write_register(3, 0xbf);
    assert_ne!(uart.read_register(2), 0, "no 16650");
    uart.write_register(3, 0xe0);
    let control = uart.read_register(2);
    uart.write_register(3, 0);
    assert_eq!((control ^ uart.read_register(4)) & 0x10, 0);
    uart.write_register(4, 0x10);
    uart.write_register(3, 0xe0);
    assert_eq!(uart.read_register(2) & 0x10, 0, "no National SuperIO");
    uart.write_register(3, 0);
    uart.write_register(4, 0);
    uart.write_register(2, 0x21);
    assert_eq!(uart.read_register(2) >> 5 & 1, 0, "no 64-byte FIFO");
    uart.write_register(1, 0x40);
    assert_eq!(uart.read_register(1) & 0x40, 0, "no XScale");
}

#[test]
fn loopback_returns_what_was_written() {
    let mut uart = Uart::reset();
    uart.write_register(4, 0x10);
    uart.write_register(0, 0x5a);
    assert_eq!(uart.read_register(5) & 1, 1);
    assert_eq!(uart.read_register(0), 0x5a);
    assert!(!uart.has_output());
    uart.write_register(0, 1);
    uart.write_register(0, 2);
    assert_eq!(uart.read_register(5) & 2, 2, "without a FIFO the second byte is lost");
    assert_eq!(uart.read_register(5) & 2, 0, "and reported once");
}

#[test]
fn enabling_the_transmit_interrupt_reports_an_empty_transmitter_every_time() {
    let mut uart = Uart::reset();
    for _ in 0..2 {
        uart.write_register(1, 2);
        assert!(uart.interrupt());
        assert_eq!(uart.read_register(2) & 0xf, 2);
        assert!(!uart.interrupt(), "reading the cause clears it");
        assert_eq!(uart.read_register(2) & 0xf, 1);
        uart.write_register(1, 0);
    }
}

#[test]
fn a_written_byte_asks_for_the_next_one() {
    let mut uart = Uart::reset();
    uart.write_register(1, 2);
    uart.read_register(2);
    assert!(!uart.interrupt());
    uart.write_register(0, b'x');
    assert!(uart.interrupt());
}

#[test]
fn received_bytes_interrupt_and_outrank_the_transmitter() {
    let mut uart = Uart::reset();
    uart.write_register(2, 0x81);
    uart.write_register(1, 3);
    assert_eq!(uart.send(b"1234567"), 7);
    assert_eq!(uart.read_register(2), 0xcc, "below the trigger level: timeout");
    uart.send(b"8");
    assert_eq!(uart.read_register(2), 0xc4, "at the trigger level");
    let line: Vec<u8> = (0..8).map(|_| uart.read_register(0)).collect();
    assert_eq!(line, b"12345678");
    assert_eq!(uart.read_register(2), 0xc2, "then the transmitter");
    assert_eq!(uart.read_register(2), 0xc1);
}

#[test]
fn input_waits_behind_the_fifo_and_is_bounded() {
    let mut uart = Uart::reset();
    uart.write_register(2, 1);
    assert_eq!(uart.send(&[7; 5000]), INPUT_BYTES);
    assert_eq!(uart.send(&[8; 100]), FIFO_BYTES);
    assert_eq!(uart.send(&[9; 1]), 0);
    let mut read = 0;
    while uart.read_register(5) & 1 != 0 {
        uart.read_register(0);
        read += 1;
    }
    assert_eq!(read, INPUT_BYTES + FIFO_BYTES);
}

#[test]
fn clearing_the_receiver_drops_the_fifo_only() {
    let mut uart = Uart::reset();
    uart.write_register(2, 1);
    uart.send(b"0123456789abcdefXY");
    uart.write_register(2, 3);
    assert_eq!(uart.read_register(0), b'X');
}

#[test]
fn output_that_nobody_takes_is_overwritten_from_the_oldest() {
    let mut uart = Uart::reset();
    for number in 0..OUTPUT_BYTES + 1 {
        uart.write_register(0, (number % 251) as u8);
    }
    let bytes = output(&mut uart);
    assert_eq!((bytes.len(), bytes[0]), (OUTPUT_BYTES, 1));
}

#[test]
fn a_port_made_from_its_saved_form_behaves_the_same() {
    let mut uart = Uart::reset();
    for (register, value) in [(2, 0xc1), (3, 3), (4, 0xb), (1, 7), (7, 0x77)] {
        uart.write_register(register, value);
    }
    uart.send(b"hello, this is more than sixteen");
    let mut machine = state::Machine::default();
    let clock = Clock::new(1_000_000, 0);
    uart.save(&mut machine, 0, &clock);
    let mut copy = Uart::reset();
    copy.load(&machine, &clock);
    for register in [2, 5, 0, 6, 7, 2, 1, 0, 0, 3, 4] {
        assert_eq!(copy.read_register(register), uart.read_register(register));
        assert_eq!(copy.interrupt(), uart.interrupt());
    }
}
