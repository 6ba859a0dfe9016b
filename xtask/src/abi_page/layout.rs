// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the fields of a `repr(C)` struct lie, worked out of the source.
//!
//! Knows integers, arrays and structs of the same file; a length is a number or a constant of any
//! file of the contract.

use super::source::{File, Kind};
use anyhow::{Context, Result};

/// A field and its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its type, as it stands there.
    pub text: String,
    /// Offset in bytes.
    pub offset: usize,
    /// Its comment.
    pub docs: Vec<String>,
}

/// The fields of a struct of `file`; constants are looked up in `all`.
pub fn places(file: &File, name: &str, all: &[&File]) -> Result<Vec<Place>> {
    let mut offset: usize = 0;
    let mut places = Vec::new();
    for field in file.members(name, Kind::Field) {
        let (size, align) = size_of(file, &field.text, all).with_context(|| {
            format!("{name}.{}: a type that the page's generator does not know", field.name)
        })?;
        offset = offset.next_multiple_of(align);
        let (name, text, docs) = (field.name.clone(), field.text.clone(), field.docs.clone());
        places.push(Place { name, text, offset, docs });
        offset += size;
    }
    Ok(places)
}

/// Size and alignment of a type.
fn size_of(file: &File, text: &str, all: &[&File]) -> Option<(usize, usize)> {
    match text {
        "u8" => return Some((1, 1)),
        "u16" => return Some((2, 2)),
        "u32" => return Some((4, 4)),
        "u64" => return Some((8, 8)),
        _ => {}
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let (element, length) = inner.split_once("; ")?;
        let (size, align) = size_of(file, element, all)?;
        return Some((size * number(length, all)?, align));
    }
    let (mut end, mut widest) = (0_usize, 1);
    let mut fields = file.members(text, Kind::Field).peekable();
    fields.peek()?;
    for field in fields {
        let (size, align) = size_of(file, &field.text, all)?;
        end = end.next_multiple_of(align) + size;
        widest = widest.max(align);
    }
    Some((end.next_multiple_of(widest), widest))
}

/// A number, or the constant with that name.
fn number(text: &str, all: &[&File]) -> Option<usize> {
    text.replace('_', "").parse().ok().or_else(|| {
        let mut constants =
            all.iter().flat_map(|file| file.items.iter()).filter(|item| item.kind == Kind::Const);
        constants.find(|item| item.name == text)?.text.replace('_', "").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::read;
    use super::*;

    #[test]
    fn fields_lie_where_the_compiler_puts_them() {
        let file = read(
            "pub const N: usize = 3;\npub struct P {\n    pub a: u16,\n    pub b: u32,\n}\n\
             pub struct S {\n    pub x: u32,\n    pub y: [u64; N],\n    pub z: [P; 2],\n    pub w: u8,\n}\n",
        );
        let offsets: Vec<usize> =
            places(&file, "S", &[&file]).expect("known").iter().map(|place| place.offset).collect();
        assert_eq!(offsets, [0, 8, 32, 48]);
        let unknown = read("pub struct S {\n    pub x: Other,\n}\n");
        assert!(places(&unknown, "S", &[&unknown]).is_err());
    }
}
