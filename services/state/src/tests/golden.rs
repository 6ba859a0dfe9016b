// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files written by released versions are read for ever.

use super::{handed_over, machine};
use crate::{Ended, Machine};

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
