// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cpio archive in memory ("newc"), as Linux accepts it behind an initial RAM disk.
//!
//! Owns the format as far as a directory and small files need it. What goes in is decided by the
//! loader.

use alloc::format;
use alloc::vec::Vec;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// An archive being written; every member belongs to user and group 0.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    members: u32,
}

impl Archive {
    /// Adds a directory.
    pub fn directory(&mut self, name: &str, mode: u32) {
        self.member(name, DIRECTORY | mode, &[]);
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.member(name, FILE | mode, content);
    }

    /// Ends the archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn member(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.members += 1;
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        let zero = 0;
        let header = format!(
            "070701{:08x}{mode:08x}{zero:08x}{zero:08x}{links:08x}{zero:08x}{:08x}{zero:08x}{zero:08x}{zero:08x}{zero:08x}{:08x}{zero:08x}",
            self.members,
            content.len(),
            name.len() + 1,
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The archive that hands a guest its token: `understudy/token`, readable by root alone, in
/// hexadecimal.
#[must_use]
pub fn token(token: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(33);
    for byte in token {
        text.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    text.push(b'\n');
    let mut archive = Archive::default();
    archive.directory("understudy", 0o755);
    archive.file("understudy/token", 0o400, &text);
    archive.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_token_stands_in_the_archive_in_hexadecimal() {
        let bytes = super::token(&[0xa5; 16]);
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("07070100000001000041ed"));
        assert!(text.contains("understudy/token\0"));
        assert!(text.contains(&"a5".repeat(16)));
        assert!(text.contains("TRAILER!!!"));
    }
}
