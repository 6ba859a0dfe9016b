// SPDX-License-Identifier: MIT OR Apache-2.0
//! The archive of services: cpio in the `newc` form.
//!
//! Reads what a boot loader handed over: every length is checked against the bytes there are, and
//! what does not fit ends the archive.

/// Bytes of a header.
const HEADER: usize = 110;
/// Name of the entry that ends the archive.
const TRAILER: &str = "TRAILER!!!";

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry<'a> {
    name: &'a str,
    data: &'a [u8],
    rest: &'a [u8],
}

/// The file with this name.
#[must_use]
pub fn find<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    files(archive).find(|(found, _)| *found == name).map(|(_, data)| data)
}

/// All files: names and contents. Ends at the trailer, or at the first entry that is damaged.
pub fn files(archive: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = archive;
    core::iter::from_fn(move || {
        let entry = read_entry(rest).filter(|entry| entry.name != TRAILER)?;
        rest = entry.rest;
        Some((entry.name.trim_start_matches("./"), entry.data))
    })
}

/// Number `index` of a header: eight hexadecimal digits.
fn number(header: &[u8], index: usize) -> Option<usize> {
    let at = 6 + index * 8;
    let digits = header.get(at..at + 8)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

fn read_entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let header = bytes.get(..HEADER)?;
    if &header[..6] != b"070701" && &header[..6] != b"070702" {
        return None;
    }
    let size = number(header, 6)?;
    let name_size = number(header, 11)?;
    let name_end = HEADER.checked_add(name_size)?;
    let name = bytes.get(HEADER..name_end)?.strip_suffix(&[0])?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(size)?;
    let data = bytes.get(start..end)?;
    // The last entry may lack its padding.
    let rest = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or(&[]);
    Some(Entry { name: core::str::from_utf8(name).ok()?, data, rest })
}

#[cfg(test)]
mod tests {
    use super::{files, find};

    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut header = String::from("070701");
        for index in 0..13 {
            let value = match index {
                6 => data.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            header += &format!("{value:08x}");
        }
        let mut bytes = header.into_bytes();
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn sample() -> Vec<u8> {
        [entry("console", b"first"), entry("./vmm", b"second file"), entry("TRAILER!!!", b"")].concat()
    }

    #[test]
    fn files_are_found_by_name() {
        let archive = sample();
        assert_eq!(find(&archive, "console"), Some(&b"first"[..]));
        assert_eq!(find(&archive, "vmm"), Some(&b"second file"[..]));
        assert_eq!(find(&archive, "TRAILER!!!"), None);
        assert_eq!(files(&archive).count(), 2);
    }

    #[test]
    fn a_cut_archive_yields_only_whole_files() {
        let archive = sample();
        for size in 0..archive.len() {
            for (_, data) in files(&archive[..size]) {
                assert!(data == b"first" || data == b"second file");
            }
        }
    }

    #[test]
    fn no_alteration_makes_reading_panic_or_loop() {
        let archive = sample();
        for index in 0..archive.len() {
            for value in [0, b'0', b'f', b'F', b'-', b'+', 0xff] {
                let mut altered = archive.clone();
                altered[index] = value;
                assert!(files(&altered).count() < archive.len());
            }
        }
    }
}
