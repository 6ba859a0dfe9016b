// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources that must compile, and sources that must not.

use super::{compile, files, read};
use crate::manifest::Manifest;

const SYSTEM: &str = include_str!("../../../../system.toml");

fn refusal(source: &str) -> (usize, String) {
    let error = read(source, None).unwrap_err();
    (error.line, error.text)
}

#[test]
fn the_default_system_survives_compilation() {
    let bytes = compile(SYSTEM, Some([7; 32])).unwrap();
    let manifest = Manifest::decode(&bytes).unwrap();
    assert_eq!(manifest, read(SYSTEM, Some([7; 32])).unwrap());
    let (images, modules) = files(&manifest);
    assert!(images.contains("vmm") && images.contains("console"));
    assert!(modules.contains("guest/vmlinuz"));
}

#[test]
fn a_damaged_module_is_refused() {
    let bytes = compile(SYSTEM, None).unwrap();
    for size in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..size]).is_err());
    }
    let mut altered = bytes.clone();
    altered[7] ^= 1;
    assert!(Manifest::decode(&altered).is_err());
}

#[test]
fn no_alteration_makes_decoding_panic() {
    let bytes = compile(SYSTEM, None).unwrap();
    for index in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut altered = bytes.clone();
            altered[index] = value;
            let _ = Manifest::decode(&altered);
        }
    }
}

#[test]
fn flaws_are_reported_with_their_line() {
    let (line, text) =
        refusal("[[service]]\nname = \"a\"\npriority = 1\n\n[[service]]\nname = \"a\"\npriority = 2\n");
    assert_eq!((line, text.contains("already")), (5, true));
    let (line, text) = refusal("[[service]]\nname = \"a\"\npriority = 1\ncolour = 2\n");
    assert_eq!((line, text.contains("colour")), (4, true));
    let (line, _) = refusal("[[service]]\nname = \"a\"\npriority = 1\nheap = \"1 MB\"\n");
    assert_eq!(line, 4);
}

#[test]
fn what_belongs_to_one_is_not_given_to_another() {
    let two = "[[service]]\nname = \"a\"\npriority = 1\nports = [\"0x60-0x64\"]\n\
               [[service]]\nname = \"b\"\npriority = 1\nports = [\"0x64\"]\n";
    assert!(refusal(two).1.contains("belong to \"a\""));
}

#[test]
fn unknown_names_are_refused() {
    let calls = "[[service]]\nname = \"a\"\npriority = 1\ncalls = [\"b\"]\n";
    assert!(refusal(calls).1.contains("does not exist"));
    let checkpoints = "[[service]]\nname = \"a\"\npriority = 1\ncheckpoints = [\"a\"]\n";
    assert!(refusal(checkpoints).1.contains("not a VM"));
    assert!(refusal("[[service]]\nname = \"root\"\npriority = 1\n").1.contains("no name"));
}
