// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files written by released versions are read for ever.

use super::machine;
use crate::Machine;

const V1: &[u8] = include_bytes!("../../golden/machine-v1.bin");

#[test]
fn the_file_of_version_1_is_read() {
    assert_eq!(Machine::load(V1).unwrap(), machine());
}

#[test]
fn the_file_of_version_1_is_what_we_write_while_no_field_is_added() {
    assert_eq!(machine().save(), V1);
}

/// Only for a new version, whose file then gets a new name: an old one is never written again.
#[test]
#[ignore = "writes a golden file"]
fn write_a_golden_file() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/machine-new.bin"), machine().save()).unwrap();
}
