// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each rule finds what breaks it, and names the field.

use std::string::ToString;

use super::{handed_over, machine};
use crate::{Check, Ended, LoadError, Machine, Value};

#[test]
fn a_running_linux_breaks_no_rule() {
    assert_eq!(machine().check(), Ok(()));
    assert_eq!(Machine::default().check(), Ok(()));
}

#[test]
fn each_rule_names_the_field_that_breaks_it() {
    let broken = [
        ("vcpus.0.activity", "3"),
        ("vcpus.0.cr0", "0x180050033"),
        ("vcpus.0.cr3", "0x10000000000000"),
        ("vcpus.0.cr4", "0x8000000000000000"),
        ("vcpus.0.cr8", "16"),
        ("vcpus.0.cpl", "4"),
        ("vcpus.0.rflags", "0x200"),
        ("vcpus.0.efer", "0x1d01"),
        ("vcpus.0.efer", "0x900"),
        ("vcpus.0.rip", "0x800000000000"),
        ("vcpus.0.dr7", "0x100000400"),
        ("vcpus.0.cs.attributes", "0xe9b"),
        ("vcpus.0.ss.attributes", "0x1000"),
        ("vcpus.0.gs.base", "0x8000000000000000"),
        ("vcpus.0.lstar", "0x8000000000000000"),
        ("vcpus.0.sfmask", "0x100000000"),
        ("vcpus.0.pat", "2"),
        ("vcpus.0.event", "0x80000110"),
        ("vcpus.0.event", "0x31"),
        ("vcpus.0.xcr0", "5"),
        ("vcpus.0.xsave", "00"),
        ("apics.0.base", "0xfee00400"),
        ("apics.0.requested", "1"),
        ("apics.0.lvt_timer", "0x600ec"),
        ("apics.0.timer_divide", "4"),
        ("ioapics.0.entries.3", "0x20000"),
        ("ioapics.0.entries.3", "0x4031"),
        ("ioapics.0.levels", "0x1000000"),
        ("uarts.0.interrupt_enable", "0x10"),
        ("rtc.memory", "00"),
        ("clock.version", "1"),
        ("clock.wall_version", "3"),
        ("clock.pages.0.system_time", "0x3ffd0002"),
        ("clock.pages.0.version", "5"),
        ("ended", "3"),
        ("reason", "without a failure"),
        ("power.status", "1"),
        ("token.secret", "00"),
        ("token.used", "9"),
        ("memory_bytes", "4097"),
    ];
    for (path, text) in broken {
        let mut machine = handed_over();
        let set = if path == "apics.0.requested" { "apics.0.requested.0" } else { path };
        machine.set(set, text).unwrap();
        let violation = machine.check().expect_err(path);
        assert_eq!(violation.path, path, "{violation}");
        assert_eq!(Machine::load(&machine.save()), Err(LoadError::Invalid(violation)));
        assert_eq!(Machine::load_unchecked(&machine.save()), Ok(machine));
    }
}

#[test]
fn a_machine_that_has_ended_has_no_vcpus() {
    let mut machine = handed_over();
    machine.ended = Ended::STOPPED;
    assert_eq!(machine.check().unwrap_err().path, "vcpus");
    machine.vcpus.clear();
    machine.apics.clear();
    assert_eq!(machine.check(), Ok(()));
    machine.reason = "triple fault".to_string();
    assert_eq!(machine.check().unwrap_err().path, "reason");
    machine.ended = Ended::FAILED;
    assert_eq!(machine.check(), Ok(()));
}

#[test]
fn long_mode_needs_what_the_processor_demands_of_it() {
    let mut machine = machine();
    machine.vcpus[0].cr4 &= !(1 << 5);
    assert_eq!(machine.check().unwrap_err().path, "vcpus.0.cr4");
}

#[test]
fn each_vcpu_has_an_apic_and_its_own_index() {
    let mut machine = machine();
    machine.vcpus.push(machine.vcpus[0].clone());
    assert_eq!(machine.check().unwrap_err().path, "apics");
    machine.apics.push(machine.apics[0].clone());
    assert_eq!(machine.check().unwrap_err().path, "vcpus.1");
    machine.vcpus[1].index = 1;
    assert_eq!(machine.check(), Ok(()));
}
