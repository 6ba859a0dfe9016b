// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lexer of Rust: splits a source into words, signs, literals and comments.
//!
//! Owns the rules by which a comment, a string or a character ends. It never fails: an unterminated
//! literal or comment reaches to the end of the source, which the compiler reports better.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or a keyword.
    Word,
    /// One punctuation character, or `::`.
    Sign,
    /// A number, string, character or lifetime.
    Literal,
    /// A line comment up to the end of its line, or a block comment.
    Comment,
}

/// A piece of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Line on which it begins, counted from 0.
    pub line: usize,
}

impl Token<'_> {
    /// Whether it is this word or sign.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Sign) && self.text == text
    }
}

/// Splits a source.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 0);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = measure(rest, first);
        let (piece, after) = rest.split_at(length.clamp(first.len_utf8(), rest.len()));
        if let Some(kind) = kind {
            found.push(Token { kind, text: piece, line });
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    found
}

/// The kind and the length of the token at the beginning of `rest`; no kind for white space.
fn measure(rest: &str, first: char) -> (Option<Kind>, usize) {
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Some(Kind::Comment), rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Some(Kind::Comment), block_comment(rest));
    }
    if let Some(length) = string(rest) {
        return (Some(Kind::Literal), length);
    }
    if first == '\'' {
        return (Some(Kind::Literal), character(rest));
    }
    if first.is_alphanumeric() || first == '_' {
        let kind = if first.is_ascii_digit() { Kind::Literal } else { Kind::Word };
        return (Some(kind), word(rest));
    }
    (Some(Kind::Sign), if rest.starts_with("::") { 2 } else { first.len_utf8() })
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string literal with its prefix; `None` where none begins.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or_default();
        let raw = prefix.ends_with('r') && after.trim_start_matches('#').starts_with('"');
        raw || after.starts_with('"')
    })?;
    let after = rest.get(prefix.len()..)?;
    if prefix.ends_with('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let closing = format!("\"{}", "#".repeat(hashes));
        let body = after.get(hashes + 1..)?;
        let end = body.find(&closing).map_or(body.len(), |at| at + closing.len());
        return Some(prefix.len() + hashes + 1 + end);
    }
    Some(prefix.len() + 1 + until_quote(after.get(1..)?, '"'))
}

/// The length up to and with the closing quote; a backslash takes the next character with it.
fn until_quote(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    body.len()
}

/// A character literal or a lifetime: the latter has no closing quote behind its first character.
fn character(rest: &str) -> usize {
    let body = rest.get(1..).unwrap_or_default();
    let mut chars = body.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + until_quote(body, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + word(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|token| token.text).collect()
    }

    #[test]
    fn a_quote_inside_a_literal_or_comment_ends_nothing() {
        let text = r###"a("// \" no", r#"raw " //"#, b'"', '\'', &'x y) // "end"
/* /* " */ */ z"###;
        let wanted = [
            "a",
            "(",
            r#""// \" no""#,
            ",",
            r##"r#"raw " //"#"##,
            ",",
            "b",
            "'\"'",
            ",",
            r"'\''",
            ",",
            "&",
            "'x",
            "y",
            ")",
            "// \"end\"",
            "/* /* \" */ */",
            "z",
        ];
        assert_eq!(texts(text), wanted);
    }

    #[test]
    fn an_unterminated_literal_reaches_to_the_end() {
        for text in ["\"a", "r#\"a\"", "'\\", "/* a", "b\"", "'", "r#", "\"\\"] {
            assert_eq!(texts(text).concat().trim(), text);
        }
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let found = tokens("a\n\"b\nc\"\nd");
        assert_eq!(found.iter().map(|token| token.line).collect::<Vec<_>>(), [0, 1, 3]);
    }
}
