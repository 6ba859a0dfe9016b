// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writer of cpio archives in the `newc` form: the service bundle and the guest's initial file
//! system.
//!
//! Archives are reproducible: no times, no user names, entries in the order given. Device nodes can
//! be written without being root, which `cpio(1)` cannot.

/// An archive under construction.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

impl Archive {
    /// Adds a file with its permission bits.
    pub fn file(&mut self, name: &str, permissions: u32, data: &[u8]) -> &mut Self {
        self.entry(name, REGULAR | permissions, (0, 0), data)
    }

    /// Adds a directory.
    pub fn directory(&mut self, name: &str, permissions: u32) -> &mut Self {
        self.entry(name, DIRECTORY | permissions, (0, 0), &[])
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, name: &str, to: &str) -> &mut Self {
        self.entry(name, SYMLINK | 0o777, (0, 0), to.as_bytes())
    }

    /// Adds a character device.
    pub fn character_device(&mut self, name: &str, permissions: u32, number: (u32, u32)) -> &mut Self {
        self.entry(name, CHARACTER | permissions, number, &[])
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        while !self.bytes.len().is_multiple_of(512) {
            self.bytes.push(0);
        }
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> &mut Self {
        let links = if mode & 0o170_000 == DIRECTORY { 2 } else { 1 };
        let size = u32::try_from(data.len()).expect("an archive member is smaller than 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("names are short");
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.inode += 1;
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
        self
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_entry_is_header_name_and_padded_data() {
        let mut archive = Archive::default();
        archive.file("a", 0o644, b"xyz");
        let bytes = archive.finish();
        assert_eq!(&bytes[..14], b"07070100000000");
        assert_eq!(&bytes[14..22], b"000081A4");
        assert_eq!(&bytes[54..62], b"00000003");
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..115], b"xyz");
        assert_eq!(&bytes[116..122], b"070701");
        assert_eq!(bytes.len() % 512, 0);
    }
}
