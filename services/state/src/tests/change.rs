// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change leads from its base to the machine, and costs what has changed.

use core::fmt::Debug;
use std::string::ToString;
use std::vec::Vec;

use super::property::{save, scramble};
use super::{Numbers, handed_over, machine};
use crate::record::{Cause, Record, Value, Wire, encode_field};
use crate::{
    DecodeError, IoApic, LoadError, LocalApic, Machine, PvClock, Rtc, Segment, Token, Uart16550, Vcpu,
};

fn change<T: Value>(base: &T, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode_change(base, &mut bytes);
    bytes
}

fn holds_for<T: Record + PartialEq + Debug + Clone>(first: T, second: T) {
    let mut numbers = Numbers(0x0bad_cafe_0123_4567);
    let (mut base, mut value) = (first, second);
    for round in 0..60 {
        if round > 0 {
            scramble(&mut base, &mut numbers);
            scramble(&mut value, &mut numbers);
        }
        let bytes = change(&base, &value);
        let mut changed = base.clone();
        changed.apply(&bytes).unwrap();
        assert_eq!(changed, value);
        assert_eq!(change(&value, &changed), [], "nothing has changed");
        changed.apply(&save(&base)).unwrap();
        assert_eq!(changed, base, "the whole of it is a change from everything");
        for _ in 0..20 {
            let mut damaged = bytes.clone();
            if damaged.is_empty() {
                break;
            }
            let at = numbers.below(damaged.len());
            damaged[at] ^= 1 << numbers.below(8);
            let _ = base.clone().apply(&damaged);
        }
    }
}

#[test]
fn a_change_leads_from_every_base_to_every_record() {
    let (old, new) = (machine(), handed_over());
    holds_for::<Segment>(Segment::default(), old.vcpus[0].cs.clone());
    holds_for::<Vcpu>(Vcpu::default(), old.vcpus[0].clone());
    holds_for::<LocalApic>(LocalApic::default(), old.apics[0].clone());
    holds_for::<IoApic>(IoApic::default(), old.ioapics[0].clone());
    holds_for::<Uart16550>(Uart16550::default(), old.uarts[0].clone());
    holds_for::<Rtc>(Rtc::default(), old.rtc.clone());
    holds_for::<PvClock>(PvClock::default(), new.clock.clone());
    holds_for::<Token>(Token::default(), old.token.clone());
    // Of both there are more vCPUs in one than in the other.
    holds_for::<Machine>(old.clone(), new.clone());
    holds_for::<Machine>(new, old);
}

#[test]
fn a_vm_that_ran_on_for_a_moment_is_a_short_change() {
    let base = handed_over();
    let mut value = base.clone();
    value.vcpus[0].rip += 16;
    value.vcpus[0].rax = 7;
    value.vcpus[0].tsc += 100_000;
    value.vcpus[1].tsc += 100_000;
    value.rtc.tsc += 100_000;
    value.uptime_ms += 1;
    value.console_line = "another".to_string();
    let mut bytes = Vec::new();
    value.save_change_into(&base, &mut bytes);
    assert!(bytes.len() < 100, "{} of {} bytes", bytes.len(), value.save().len());
    let mut changed = base;
    changed.apply_change(&bytes).unwrap();
    assert_eq!(changed, value);
}

#[test]
fn fields_of_a_later_version_travel_in_a_change() {
    let mut later = Vec::new();
    encode_field(900, Wire::Bytes, b"later", &mut later);
    let base = Segment { limit: 5, ..Segment::default() };
    let mut value = base.clone();
    value.apply(&later).unwrap();
    let bytes = change(&base, &value);
    assert_eq!(bytes, later);
    let mut again = Vec::new();
    encode_field(900, Wire::Bytes, b"even later", &mut again);
    value.apply(&again).unwrap();
    assert_eq!(change(&base, &value), again, "each field is there once");
}

#[test]
fn a_whole_machine_is_no_change_nor_is_a_change_a_machine() {
    let base = machine();
    let mut bytes = Vec::new();
    base.save_change_into(&base, &mut bytes);
    assert_eq!(Machine::load(&bytes), Err(LoadError::NotAMachine));
    assert_eq!(base.clone().apply_change(&base.save()), Err(LoadError::NotAMachine));
    let mut later = bytes.clone();
    *later.last_mut().unwrap() = 2;
    assert_eq!(base.clone().apply_change(&later), Err(LoadError::UnknownFormat(2)));
}

#[test]
fn what_a_change_leads_to_is_checked() {
    let base = machine();
    let mut value = base.clone();
    value.token.used = value.token.quota + 1;
    let mut bytes = Vec::new();
    value.save_change_into(&base, &mut bytes);
    assert!(matches!(base.clone().apply_change(&bytes), Err(LoadError::Invalid(_))));
    bytes.pop();
    let damaged = LoadError::Damaged(DecodeError { field: "", cause: Cause::Truncated });
    assert_eq!(base.clone().apply_change(&bytes), Err(damaged));
}
