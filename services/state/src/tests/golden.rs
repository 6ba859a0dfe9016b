// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files written by released versions are read for ever.

use super::{handed_over, machine};
use crate::record::{Value, record};
use crate::{Ended, IoApic, LocalApic, Machine, PowerControl, PvClock, Rtc, Token, Uart16550, Vcpu};
use std::string::String;
use std::vec::Vec;

/// Before there were handovers.
const V1: &[u8] = include_bytes!("../../golden/machine-v1.bin");
/// With what a handover needs: how a machine ended, its console, the clock pages of further vCPUs.
const V1_HANDOVER: &[u8] = include_bytes!("../../golden/machine-v1-handover.bin");

#[test]
fn the_file_of_version_1_is_read() {
    let loaded = Machine::load(V1).unwrap();
    assert_eq!(loaded, machine());
    assert_eq!((loaded.ended, loaded.console_bytes, loaded.clock.pages.len()), (Ended::NO, 0, 0));
}

#[test]
fn the_file_with_the_fields_of_a_handover_is_read() {
    assert_eq!(Machine::load(V1_HANDOVER).unwrap(), handed_over());
}

record! {
    /// A machine as the version before handovers knew it.
    pub struct MachineBefore {
        /// As in [`Machine`], and so are the others.
        1 name: String,
        /// .
        2 memory_bytes: u64,
        /// .
        3 tsc_khz: u64,
        /// .
        4 paused: bool,
        /// .
        5 vcpus: Vec<Vcpu>,
        /// .
        6 apics: Vec<LocalApic>,
        /// .
        7 ioapics: Vec<IoApic>,
        /// .
        8 uarts: Vec<Uart16550>,
        /// .
        9 rtc: Rtc,
        /// .
        10 clock: PvClock,
        /// .
        11 power: PowerControl,
        /// .
        12 token: Token,
    }
}

#[test]
fn the_version_before_handovers_reads_the_file_with_them_and_loses_nothing() {
    let body = &V1_HANDOVER[crate::MAGIC.len() + 1..];
    let loaded = MachineBefore::decode(body).unwrap();
    let new = handed_over();
    assert_eq!((loaded.vcpus.len(), &loaded.token, &loaded.rtc), (2, &new.token, &new.rtc));
    assert_eq!(loaded.unknown.numbers().collect::<Vec<_>>(), [13, 14, 15, 16, 17]);
    let mut saved = Vec::new();
    loaded.encode(&mut saved);
    assert_eq!(saved, body);
}

#[test]
fn the_newest_file_is_what_we_write_while_no_field_is_added() {
    assert_eq!(handed_over().save(), V1_HANDOVER);
}

/// Only for a new version, whose file then gets a new name: an old one is never written again.
#[test]
#[ignore = "writes a golden file"]
fn write_a_golden_file() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/machine-new.bin"), handed_over().save())
        .unwrap();
}
