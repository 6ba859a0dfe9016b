// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reader of the sources of `hv/abi`: their comments, numbers and layouts, line by line.
//!
//! It knows the forms that stand there and no more: constants on one line, enums with their
//! numbers, structs with public fields, modules within a file. Function bodies, macros and tests
//! are passed over.

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A constant; its text is the value.
    Const,
    /// An enum, a struct or a module.
    Group,
    /// A member of an enum; its text is the number.
    Variant,
    /// A field of a struct; its text is the type.
    Field,
}

/// One thing that has a comment of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Value, number or type, as it stands there.
    pub text: String,
    /// Its comment: one line per line.
    pub docs: Vec<String>,
    /// The group that it is in; empty for none.
    pub group: String,
}

/// A source.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The comment of the file.
    pub docs: Vec<String>,
    /// Its items, in order.
    pub items: Vec<Item>,
}

impl File {
    /// The members of a group that are of a kind.
    pub fn members<'a>(&'a self, group: &'a str, kind: Kind) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.group == group && item.kind == kind)
    }

    /// The group with this name.
    pub fn group(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.kind == Kind::Group && item.name == name)
    }
}

/// Reads a source.
pub fn read(text: &str) -> File {
    let mut reader = Reader::default();
    for line in text.lines() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        reader.line(line.trim());
    }
    reader.file
}

#[derive(Default)]
struct Reader {
    file: File,
    docs: Vec<String>,
    /// Groups that are open, with the depth of braces outside of them.
    open: Vec<(String, usize)>,
    depth: usize,
    /// Depth outside of what is passed over.
    skipped: Option<usize>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("//!") {
            self.file.docs.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
            return;
        }
        if let Some(text) = line.strip_prefix("///") {
            self.docs.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
            return;
        }
        if line.starts_with("#[") || line.starts_with("//") {
            return;
        }
        if self.skipped.is_none() {
            self.code(line);
        }
        self.depth += line.matches('{').count();
        self.depth = self.depth.saturating_sub(line.matches('}').count());
        if self.skipped.is_some_and(|outside| self.depth <= outside) {
            self.skipped = None;
        }
        while self.open.last().is_some_and(|(_, outside)| self.depth <= *outside) {
            self.open.pop();
        }
    }

    fn code(&mut self, line: &str) {
        let docs = std::mem::take(&mut self.docs);
        if let Some((name, opens)) = group_of(line) {
            let item = Item {
                kind: Kind::Group,
                name: name.clone(),
                text: String::new(),
                docs,
                group: String::new(),
            };
            if !line.starts_with("impl") {
                self.file.items.push(item);
            }
            if opens {
                self.open.push((name, self.depth));
            }
        } else if let Some((kind, name, text)) = member_of(line, self.open.is_empty()) {
            let group = self.open.last().map_or_else(String::new, |(name, _)| name.clone());
            self.file.items.push(Item { kind, name: name.to_owned(), text: text.to_owned(), docs, group });
        } else if line.ends_with('{') {
            self.skipped = Some(self.depth);
        }
    }
}

/// The name of the group that a line begins, and whether members follow.
fn group_of(line: &str) -> Option<(String, bool)> {
    if line == "invocations! {" {
        return Some(("Invocation".to_owned(), true));
    }
    let starts = ["pub enum ", "pub struct ", "pub mod ", "impl "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // `pub mod name;` is another file.
    let elsewhere = line.starts_with("pub mod ") && line.ends_with(';');
    (!elsewhere).then(|| (name, line.ends_with('{')))
}

/// Kind, name and text of a member.
fn member_of(line: &str, top: bool) -> Option<(Kind, &str, &str)> {
    if let Some(rest) = line.strip_prefix("pub const ") {
        let (name, rest) = rest.split_once(": ")?;
        let (_, value) = rest.split_once(" = ")?;
        return (!name.contains('(')).then_some((Kind::Const, name, value.strip_suffix(';')?));
    }
    if top {
        return None;
    }
    let rest = line.strip_suffix(',')?;
    if let Some(field) = rest.strip_prefix("pub ") {
        let (name, text) = field.split_once(": ")?;
        return Some((Kind::Field, name, text));
    }
    let (name, number) = rest.split_once(" = ")?;
    let is_name = name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric);
    is_name.then_some((Kind::Variant, name, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! Head.\n\n/// Of a.\npub const A: u64 = 1 << 3;\n\n/// Kinds.\n#[repr(u64)]\npub enum E {\n    \
                        /// First,\n    /// two lines.\n    One = 1,\n}\n\nimpl E {\n    pub const ALL: [E; 1] = [\n        E::One,\n    ];\n    \
                        /// A set.\n    pub const SET: Self = Self(4);\n    pub const fn f(self) -> u8 {\n        match self {\n            _ => 1,\n        }\n    }\n}\n\
                        pub mod m {\n    /// In m.\n    pub const B: u64 = 2;\n}\npub struct S {\n    /// Field.\n    pub x: [u64; 4],\n}\n\
                        #[cfg(test)]\nmod tests {\n    pub const NO: u64 = 0;\n}\n";

    #[test]
    fn each_form_is_read() {
        let file = read(TEXT);
        assert_eq!(file.docs, ["Head."]);
        let all: Vec<_> =
            file.items.iter().map(|i| (i.group.as_str(), i.name.as_str(), i.text.as_str())).collect();
        let expected = [
            ("", "A", "1 << 3"),
            ("", "E", ""),
            ("E", "One", "1"),
            ("E", "SET", "Self(4)"),
            ("", "m", ""),
            ("m", "B", "2"),
            ("", "S", ""),
            ("S", "x", "[u64; 4]"),
        ];
        assert_eq!(all, expected);
        assert_eq!(file.items[2].docs, ["First,", "two lines."]);
    }
}
