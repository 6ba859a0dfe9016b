// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for every record: it survives its encoding, foreign fields survive it, and no bytes
//! make it panic.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::{Numbers, handed_over, machine, paths};
use crate::record::{Cause, Reader, Record, Value, Wire, encode_field};
use crate::{
    ClockPage, IoApic, LoadError, LocalApic, Machine, PathError, PowerControl, PvClock, Rtc, Segment, Token,
    Uart16550, Vcpu,
};

pub(super) fn save<T: Value>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// Give each single value something it can hold.
pub(super) fn scramble<T: Value>(value: &mut T, numbers: &mut Numbers) {
    for path in paths(value) {
        let number = numbers.next() >> numbers.below(64);
        let hex = if numbers.below(4) == 0 { String::new() } else { format!("{number:016x}") };
        let texts = [format!("{number}"), format!("{}", number as u8), format!("{}", number & 1 == 1), hex];
        let taken = texts.iter().any(|text| value.set(&path, text).is_ok());
        assert!(taken, "{path} takes none of {texts:?}");
    }
}

fn holds_for<T: Record + PartialEq + core::fmt::Debug>(mut value: T) {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for _ in 0..40 {
        scramble(&mut value, &mut numbers);
        let bytes = save(&value);
        let loaded = T::decode(&bytes).unwrap();
        assert_eq!(loaded, value);
        assert_eq!(save(&loaded), bytes);
        assert_eq!(loaded.values(), value.values());
        foreign_fields_survive::<T>(&bytes, &mut numbers);
        damage_is_survived::<T>(&bytes, &mut numbers);
    }
    for (path, text) in value.values() {
        assert_eq!(value.get(&path), Ok(text));
    }
    assert_eq!(T::decode(&[]).unwrap(), T::default());
}

/// Put fields with unknown numbers between the known ones; they come back at the same places.
fn foreign_fields_survive<T: Record>(bytes: &[u8], numbers: &mut Numbers) {
    let mut reader = Reader::new(bytes);
    let mut with = Vec::new();
    let last = T::FIELDS.last().unwrap().number;
    while let Some((number, wire, payload)) = reader.next_field().unwrap() {
        // Leave some known fields out: an older writer had fewer.
        if numbers.below(8) != 0 {
            encode_field(number, wire, payload, &mut with);
        }
    }
    let mut tail = Vec::new();
    encode_field(last + 7, Wire::Number, &[5], &mut tail);
    encode_field(last + 8, Wire::Record, &[1, 2, 3], &mut tail);
    encode_field(u16::MAX, Wire::List, &[], &mut tail);
    with.extend_from_slice(&tail);
    let loaded = T::decode(&with).unwrap();
    let again = save(&loaded);
    assert!(again.ends_with(&tail));
    assert_eq!(save(&T::decode(&again).unwrap()), again);
}

fn damage_is_survived<T: Value>(bytes: &[u8], numbers: &mut Numbers) {
    for _ in 0..20 {
        let mut damaged = bytes.to_vec();
        let at = numbers.below(damaged.len());
        match numbers.below(3) {
            0 => damaged.truncate(at),
            1 => damaged[at] ^= 1 << numbers.below(8),
            _ => damaged.insert(at, numbers.next() as u8),
        }
        if let Ok(loaded) = T::decode(&damaged) {
            // Whatever is accepted is accepted in the one form only, apart from fields that are
            // absent.
            let saved = save(&loaded);
            assert_eq!(save(&T::decode(&saved).unwrap()), saved);
        }
    }
}

#[test]
fn every_record_survives_its_encoding_and_no_damage_panics() {
    let machine = machine();
    holds_for::<Segment>(Segment::default());
    holds_for::<Vcpu>(machine.vcpus[0].clone());
    holds_for::<LocalApic>(LocalApic::default());
    holds_for::<IoApic>(IoApic::default());
    holds_for::<Uart16550>(Uart16550::default());
    holds_for::<Rtc>(Rtc::default());
    holds_for::<PvClock>(PvClock::default());
    holds_for::<PvClock>(handed_over().clock);
    holds_for::<ClockPage>(ClockPage::default());
    holds_for::<PowerControl>(PowerControl::default());
    holds_for::<Token>(Token::default());
    holds_for::<Machine>(machine);
    holds_for::<Machine>(handed_over());
}

#[test]
fn unknown_fields_keep_their_place_between_known_ones() {
    let mut bytes = Vec::new();
    encode_field(0, Wire::Number, &[7], &mut bytes);
    let value = Segment { base: 9, ..Segment::default() };
    bytes.extend_from_slice(&save(&value));
    encode_field(900, Wire::Bytes, b"later", &mut bytes);
    let loaded = Segment::decode(&bytes).unwrap();
    assert_eq!(loaded.unknown.numbers().collect::<Vec<_>>(), [0, 900]);
    assert_eq!(save(&loaded), bytes);
}

#[test]
fn random_bytes_never_panic() {
    let mut numbers = Numbers(99);
    for _ in 0..3000 {
        let length = numbers.below(60);
        let bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        let _ = Machine::decode(&bytes);
        let _ = Vcpu::decode(&bytes);
    }
}

#[test]
fn fields_come_once_and_in_order() {
    let mut bytes = Vec::new();
    encode_field(2, Wire::Number, &[7], &mut bytes);
    encode_field(2, Wire::Number, &[7], &mut bytes);
    assert_eq!(Segment::decode(&bytes).unwrap_err().cause, Cause::BadOrder);
}

#[test]
fn a_list_cannot_grow_without_bound() {
    let mut bytes = Vec::new();
    encode_field(5, Wire::List, &vec![0; 1 << 20], &mut bytes);
    let error = Machine::decode(&bytes).unwrap_err();
    assert_eq!((error.field, error.cause), ("vcpus", Cause::WrongCount));
}

#[test]
fn few_bytes_do_not_become_megabytes() {
    // An item that says nothing is a byte, and a vCPU as it is reset.
    let of = |items| {
        let mut bytes = Vec::new();
        encode_field(5, Wire::List, &vec![0; items], &mut bytes);
        Machine::decode(&bytes)
    };
    assert_eq!(of(64).unwrap().vcpus.len(), 64);
    assert_eq!(of(4096).unwrap_err().cause, Cause::WrongCount);
}

#[test]
fn a_truncated_or_foreign_file_is_refused() {
    let bytes = machine().save();
    assert!(Machine::load(&bytes).is_ok());
    let body = b"USTATE\r\n".len() + 1;
    // Where a whole number of fields is left, the rest has its defaults: so a file is kept with its
    // digest.
    let refused = (0..bytes.len()).filter(|end| Machine::load(&bytes[..*end]).is_err()).count();
    assert!(refused >= bytes.len() - 18, "{refused} of {}", bytes.len());
    assert_eq!(Machine::load(&bytes[..5]), Err(LoadError::NotAMachine));
    assert_eq!(Machine::load(b"\x7fELF"), Err(LoadError::NotAMachine));
    let mut later = bytes.clone();
    later[body - 1] = 2;
    assert_eq!(Machine::load(&later), Err(LoadError::UnknownFormat(2)));
}

#[test]
fn fields_are_reached_by_path() {
    let mut machine = machine();
    assert_eq!(machine.get("vcpus.0.rip").unwrap(), "0xffffffff81001234");
    assert_eq!(machine.get("uarts.0.unread").unwrap(), "6c730a");
    machine.set("vcpus.0.cs.selector", "51").unwrap();
    assert_eq!(machine.vcpus[0].cs.selector, 51);
    machine.set("ioapics.0.entries.23", "0x1ffff").unwrap();
    assert_eq!(machine.get("ioapics.0.entries.23").unwrap(), "0x1ffff");
    let refused = [
        ("vcpus.1.rip", "0", PathError::NoSuchField),
        ("vcpus.x.rip", "0", PathError::NoSuchField),
        ("vcpus", "0", PathError::NotAValue),
        ("vcpus.0", "0", PathError::NotAValue),
        ("nothing", "0", PathError::NoSuchField),
        ("tsc_khz.more", "0", PathError::NoSuchField),
        ("paused", "1", PathError::BadValue),
        ("vcpus.0.cpl", "256", PathError::BadValue),
        ("uarts.0.unread", "0", PathError::BadValue),
        ("uarts.0.unread", "0g", PathError::BadValue),
    ];
    let before = machine.clone();
    for (path, text, error) in refused {
        assert_eq!(machine.set(path, text), Err(error), "{path}");
    }
    assert_eq!(machine, before);
}
