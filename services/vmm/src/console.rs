// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest has written to its console.
//!
//! Owns a ring that is read from any place on by cursor (bytes written before it), and the cutting
//! of the same bytes into lines for the log. A guest may write what it likes: the log sees
//! printable text in lines of bounded length.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// Bytes that are kept.
const RING: usize = 64 << 10;
/// Longest line in the log.
pub const LINE: usize = 240;

/// The output of one VM.
pub struct Console {
    ring: Vec<u8>,
    /// Bytes written before the first one that was written here.
    start: u64,
    end: u64,
    line: String,
    escape: Escape,
}

/// Where in a terminal's control sequence the output is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Sequence,
}

impl Default for Console {
    fn default() -> Self {
        // There is room for the first line of one that goes on.
        let line = String::with_capacity(LINE);
        Self { ring: alloc::vec![0; RING], start: 0, end: 0, line, escape: Escape::None }
    }
}

impl Console {
    /// Goes on where a console elsewhere has ended, after so many bytes and in the middle of this
    /// line.
    pub fn go_on(&mut self, bytes: u64, line: &str) {
        (self.start, self.end) = (bytes, bytes);
        self.line.clear();
        let printable = line.chars().filter(|character| matches!(character, ' '..='~'));
        self.line.extend(printable.take(LINE - 1));
    }

    /// What it has written of a line that has not ended.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Bytes written so far.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Takes a byte of output; returns a line for the log when one is complete.
    #[must_use]
    pub fn put(&mut self, byte: u8) -> Option<String> {
        if let Some(place) = self.ring.get_mut((self.end % RING as u64) as usize) {
            *place = byte;
        }
        self.end = self.end.saturating_add(1);
        self.escape = match (self.escape, byte) {
            (Escape::None, 0x1b) => Escape::Begun,
            (Escape::Begun, b'[') => Escape::Sequence,
            (Escape::Sequence, 0x20..=0x3f) => Escape::Sequence,
            (Escape::Begun | Escape::Sequence, _) => {
                self.escape = Escape::None;
                return None;
            }
            (Escape::None, _) => Escape::None,
        };
        match byte {
            _ if self.escape != Escape::None => None,
            b'\n' => Some(mem::take(&mut self.line)),
            b'\t' => self.push(' '),
            0x20..=0x7e => self.push(char::from(byte)),
            0x80.. => self.push('?'),
            _ => None,
        }
    }

    /// A part of the output from `cursor` on, at most `most` bytes, and where it begins.
    #[must_use]
    pub fn read(&self, cursor: u64, most: usize) -> (u64, Vec<u8>) {
        let oldest = self.end.saturating_sub(RING as u64).max(self.start);
        let start = cursor.clamp(oldest, self.end);
        let count = (self.end - start).min(most as u64);
        let byte = |at: u64| self.ring.get((at % RING as u64) as usize).copied().unwrap_or(0);
        (start, (start..start + count).map(byte).collect())
    }

    fn push(&mut self, character: char) -> Option<String> {
        self.line.push(character);
        (self.line.len() >= LINE).then(|| mem::take(&mut self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::{Console, RING};

    fn write(console: &mut Console, text: &str) -> Vec<String> {
        text.bytes().filter_map(|byte| console.put(byte)).collect()
    }

    #[test]
    fn lines_reach_the_log_without_control_sequences() {
        let mut console = Console::default();
        let lines = write(&mut console, "one\r\n\x1b[6n\x1b[1;31mtwo\x1b[0m\nrest");
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut console = Console::default();
        assert_eq!(write(&mut console, &"x".repeat(1000)).len(), 4);
    }

    #[test]
    fn a_cursor_reads_what_came_after_it() {
        let mut console = Console::default();
        let _ = write(&mut console, "hello");
        assert_eq!(console.read(2, 100), (2, b"llo".to_vec()));
        assert_eq!(console.read(5, 100), (5, Vec::new()));
        assert_eq!(console.read(99, 100), (5, Vec::new()));
    }

    #[test]
    fn a_console_goes_on_where_another_one_ended() {
        let mut console = Console::default();
        let _ = write(&mut console, "gone");
        console.go_on(1000, "log\x1bin: ");
        assert_eq!(write(&mut console, "root\n"), ["login: root"]);
        assert_eq!(console.read(0, 3), (1000, b"roo".to_vec()));
        assert_eq!((console.read(1003, 10), console.end()), ((1003, b"t\n".to_vec()), 1005));
    }

    #[test]
    fn an_old_cursor_begins_at_the_oldest_byte_kept() {
        let mut console = Console::default();
        for i in 0..RING + 10 {
            let _ = console.put(i as u8);
        }
        assert_eq!(console.read(0, 2), (10, vec![10, 11]));
    }
}
