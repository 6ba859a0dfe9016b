// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a line of the log looks like: `[name] text`.
//!
//! Clients are not trusted: control characters, with which a client could forge lines of others or
//! command a terminal, are replaced.

use alloc::string::String;

/// Most bytes of text of one request that are written.
pub const MAX_TEXT: usize = 1024;

/// The lines for a client's text, each under its name and ending in CR LF.
#[must_use]
pub fn format(name: &str, text: &str) -> String {
    let mut lines = String::new();
    let text = cut(text, MAX_TEXT);
    for line in text.trim_end_matches(['\n', '\r']).split('\n') {
        lines.push('[');
        lines.push_str(name);
        lines.push_str("] ");
        lines.extend(line.trim_end_matches('\r').chars().map(printable));
        lines.push_str("\r\n");
    }
    lines
}

fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        other if other.is_control() => '.',
        other => other,
    }
}

/// The beginning of `text` of at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, format};

    #[test]
    fn every_line_bears_the_name() {
        assert_eq!(format("vmm", "one\ntwo\r\n"), "[vmm] one\r\n[vmm] two\r\n");
        assert_eq!(format("vmm", ""), "[vmm] \r\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(format("a", "x\x1b[2J\ry\x08\u{9b}"), "[a] x.[2J.y..\r\n");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "ä".repeat(MAX_TEXT);
        assert_eq!(format("a", &text).len(), MAX_TEXT + 6);
        assert_eq!(format("a", &alloc::format!("x{text}")).len(), MAX_TEXT - 1 + 6);
    }
}
