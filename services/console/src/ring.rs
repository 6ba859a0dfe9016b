// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log in memory: the newest bytes, readable by their place since the beginning.

use alloc::vec::Vec;

/// The newest bytes of the log.
#[derive(Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    size: usize,
    /// Bytes ever written.
    end: u64,
}

impl Ring {
    /// An empty log that keeps `size` bytes (at least one).
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { bytes: Vec::with_capacity(size), size: size.max(1), end: 0 }
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let place = (self.end % self.size as u64) as usize;
            match self.bytes.get_mut(place) {
                Some(old) => *old = byte,
                None => self.bytes.push(byte),
            }
            self.end += 1;
        }
    }

    /// At most `most` bytes from `cursor` on, and the place of the first of them.
    #[must_use]
    pub fn read(&self, cursor: u64, most: usize) -> (u64, Vec<u8>) {
        let oldest = self.end - self.bytes.len() as u64;
        let start = cursor.clamp(oldest, self.end);
        let stop = self.end.min(start.saturating_add(most as u64));
        let byte = |place: u64| self.bytes[(place % self.size as u64) as usize];
        (start, (start..stop).map(byte).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;

    #[test]
    fn bytes_are_read_by_their_place() {
        let mut ring = Ring::new(8);
        ring.write(b"abcde");
        assert_eq!(ring.read(0, 100), (0, b"abcde".to_vec()));
        assert_eq!(ring.read(3, 1), (3, b"d".to_vec()));
        assert_eq!(ring.read(5, 9), (5, Vec::new()));
        assert_eq!(ring.read(u64::MAX, usize::MAX), (5, Vec::new()));
    }

    #[test]
    fn the_oldest_bytes_go_first() {
        let mut ring = Ring::new(8);
        ring.write(b"0123456789abc");
        assert_eq!(ring.read(0, 100), (5, b"56789abc".to_vec()));
        assert_eq!(ring.read(9, 2), (9, b"9a".to_vec()));
    }
}
