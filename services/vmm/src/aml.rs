// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little of the ACPI machine language that our DSDT needs.
//!
//! Each function returns the bytes of one term; terms nest by concatenation. Follows ACPI 6.5, 20
//! and 6.4.

use alloc::vec::Vec;

const ZERO: u8 = 0x00;
const ONE: u8 = 0x01;
const NAME: u8 = 0x08;
const BYTE: u8 = 0x0a;
const WORD: u8 = 0x0b;
const DWORD: u8 = 0x0c;
const STRING: u8 = 0x0d;
const SCOPE: u8 = 0x10;
const BUFFER: u8 = 0x11;
const PACKAGE: u8 = 0x12;
const EXTENDED: u8 = 0x5b;
const DEVICE: u8 = 0x82;

/// `Scope (path) { terms }`.
#[must_use]
pub fn scope(path: &[u8], terms: &[Vec<u8>]) -> Vec<u8> {
    block(&[SCOPE], &[path, &terms.concat()])
}

/// `Device (name) { terms }`.
#[must_use]
pub fn device(name: [u8; 4], terms: &[Vec<u8>]) -> Vec<u8> {
    block(&[EXTENDED, DEVICE], &[&name, &terms.concat()])
}

/// `Name (name, value)`.
#[must_use]
pub fn name(name: [u8; 4], value: &[u8]) -> Vec<u8> {
    [&[NAME], &name[..], value].concat()
}

/// `Package { elements }`, at most 255.
#[must_use]
pub fn package(elements: &[Vec<u8>]) -> Vec<u8> {
    block(&[PACKAGE], &[&[elements.len() as u8], &elements.concat()])
}

/// An integer.
#[must_use]
pub fn integer(value: u32) -> Vec<u8> {
    match value {
        0 => [ZERO].to_vec(),
        1 => [ONE].to_vec(),
        2..=0xff => [BYTE, value as u8].to_vec(),
        0x100..=0xffff => [&[WORD], &(value as u16).to_le_bytes()[..]].concat(),
        _ => [&[DWORD], &value.to_le_bytes()[..]].concat(),
    }
}

/// A string of ASCII characters.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    [&[STRING], text.as_bytes(), &[0]].concat()
}

/// `EisaId`: three capital letters and four hexadecimal digits, packed to 32 bits.
#[must_use]
pub fn eisa_id(letters: [u8; 3], number: u16) -> Vec<u8> {
    let [a, b, c] = letters.map(|letter| u32::from(letter.wrapping_sub(b'@') & 0x1f));
    let packed = a << 26 | b << 21 | c << 16 | u32::from(number);
    integer(packed.swap_bytes())
}

/// `ResourceTemplate { descriptors }`.
#[must_use]
pub fn resources(descriptors: &[Vec<u8>]) -> Vec<u8> {
    const END: [u8; 2] = [0x79, 0];
    let list = [&descriptors.concat()[..], &END].concat();
    block(&[BUFFER], &[&integer(list.len() as u32), &list])
}

/// `IO (Decode16, first, first, 0, count)`.
#[must_use]
pub fn io(first: u16, count: u8) -> Vec<u8> {
    let port = first.to_le_bytes();
    [0x47, 1, port[0], port[1], port[0], port[1], 0, count].to_vec()
}

/// How an interrupt line is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When it rises.
    Edge,
    /// While it is up.
    Level,
}

/// `Interrupt (ResourceConsumer, trigger, ActiveHigh, Exclusive) { number }` (ACPI 6.5, 6.4.3.6).
#[must_use]
pub fn interrupt(number: u32, trigger: Trigger) -> Vec<u8> {
    const CONSUMER: u8 = 1;
    const EDGE: u8 = 1 << 1;
    let flags = CONSUMER | if trigger == Trigger::Edge { EDGE } else { 0 };
    [&[0x89, 6, 0, flags, 1], &number.to_le_bytes()[..]].concat()
}

fn block(opcode: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [opcode, &package_length(body.len()), &body].concat()
}

/// The length of a block, counting its own bytes (ACPI 6.5, 20.2.4).
fn package_length(body: usize) -> Vec<u8> {
    if body + 1 < 1 << 6 {
        return [(body + 1) as u8].to_vec();
    }
    let following = if body + 2 < 1 << 12 { 1 } else { 2 };
    let length = body + 1 + following;
    let mut bytes = [(following << 6 | length & 0xf) as u8].to_vec();
    bytes.extend((0..following).map(|index| (length >> (4 + 8 * index)) as u8));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_lengths_count_themselves() {
        assert_eq!(package_length(62), [63]);
        assert_eq!(package_length(63), [0x41, 0x04]);
        assert_eq!(package_length(0x1000), [0x83, 0x00, 0x01]);
    }

    #[test]
    fn identifiers_are_packed_as_the_compiler_does() {
        assert_eq!(eisa_id(*b"PNP", 0x0501), [DWORD, 0x41, 0xd0, 0x05, 0x01]);
    }

    #[test]
    fn integers_take_the_fewest_bytes() {
        assert_eq!(integer(1), [1]);
        assert_eq!(integer(5), [0x0a, 5]);
        assert_eq!(integer(0x3f8), [0x0b, 0xf8, 3]);
    }
}
