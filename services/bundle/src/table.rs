// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of entries: names and where their bytes lie.

use crate::header::u64_at;
use crate::{HEAD, MAX_ENTRIES, MAX_NAME, ROW};

/// An entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
}

/// The entries of a table that holds nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table<'a> {
    rows: [Entry<'a>; MAX_ENTRIES],
    count: usize,
}

impl<'a> Table<'a> {
    /// The table of `count` entries in `bytes`, which end with the last entry. The error says what
    /// is wrong with it.
    pub fn read(bytes: &'a [u8], count: u16) -> Result<Self, &'static str> {
        let count = usize::from(count);
        if count > MAX_ENTRIES {
            return Err("too many entries");
        }
        let end_of_table = HEAD + count * ROW;
        let rows = bytes.get(HEAD..end_of_table).ok_or("the table is cut off")?;
        let mut table = Self::default();
        let mut next = end_of_table;
        for row in rows.chunks_exact(ROW) {
            let name = row.get(..MAX_NAME).and_then(read_name).ok_or("an entry has an impossible name")?;
            if table.find(name).is_some() {
                return Err("two entries have the same name");
            }
            let number = |at| u64_at(row, at).and_then(|number| usize::try_from(number).ok());
            let place = number(MAX_NAME).zip(number(MAX_NAME + 8));
            let (offset, size) = place.ok_or("an entry lies outside")?;
            if offset != next {
                return Err("there is a gap or an overlap between entries");
            }
            next = offset.checked_add(size).ok_or("an entry lies outside")?;
            let bytes = bytes.get(offset..next).ok_or("an entry lies outside")?;
            let free = table.rows.get_mut(table.count).ok_or("too many entries")?;
            *free = Entry { name, bytes };
            table.count += 1;
        }
        if next == bytes.len() { Ok(table) } else { Err("there is something after the last entry") }
    }

    /// All entries, in their order.
    pub fn all(&self) -> impl Iterator<Item = Entry<'a>> + '_ {
        self.rows.iter().take(self.count).copied()
    }

    /// The bytes of an entry.
    pub fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.all().find(|entry| entry.name == name).map(|entry| entry.bytes)
    }
}

/// Whether an entry can be called so.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let good =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= MAX_NAME && name.iter().all(good)
}

/// A name without its padding.
fn read_name(padded: &[u8]) -> Option<&str> {
    let end = padded.iter().position(|&byte| byte == 0).unwrap_or(padded.len());
    let (name, padding) = padded.split_at_checked(end)?;
    if !is_name(name) || padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    core::str::from_utf8(name).ok()
}
