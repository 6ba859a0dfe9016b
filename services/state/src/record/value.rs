// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a field can hold: numbers, truth values, bytes, text, lists and records.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::error::{Cause, DecodeError};
use super::{blocks, varint};

/// Most items of a list. This and the next bound what a hostile file makes us allocate: an item may
/// be a byte there, and a kilobyte here.
pub const MAX_ITEMS: usize = 4096;
/// Most bytes of a list's items here, without what they refer to.
pub const MAX_ITEM_BYTES: usize = 64 << 10;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wire {
    /// One number.
    Number = 0,
    /// Bytes or text.
    Bytes = 1,
    /// A record.
    Record = 2,
    /// A list.
    List = 3,
}

impl Wire {
    /// The type in the two lowest bits of a key.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Wire::Number,
            1 => Wire::Bytes,
            2 => Wire::Record,
            _ => Wire::List,
        }
    }
}

/// Why a path leads nowhere, or a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There is no such field, or no such item of a list.
    NoSuchField,
    /// The path ends before a single value.
    NotAValue,
    /// The text is no value of the field's type.
    BadValue,
}

impl core::fmt::Display for PathError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PathError::NoSuchField => "no such field",
            PathError::NotAValue => "not a single value",
            PathError::BadValue => "not a value of this field",
        })
    }
}

/// Who hears of single values: path and text.
pub type Sink<'a> = &'a mut dyn FnMut(&str, &str);

/// Something that a field can hold.
pub trait Value: Sized {
    /// How it is written.
    const WIRE: Wire;
    /// Append the payload.
    fn encode(&self, out: &mut Vec<u8>);
    /// Read a payload, all of it.
    ///
    /// # Errors
    /// Where it is none of this type.
    fn decode(payload: &[u8]) -> Result<Self, DecodeError>;
    /// Append the payload of a change from `base` to this.
    fn encode_change(&self, base: &Self, out: &mut Vec<u8>) {
        let _ = base;
        self.encode(out);
    }
    /// Change to what a payload says, all of it; of a record or list, what it does not say stays.
    ///
    /// # Errors
    /// Where it is none of this type; the value may have changed in part.
    fn apply(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        *self = Self::decode(payload)?;
        Ok(())
    }
    /// Tell every single value below `path`.
    fn list(&self, path: &mut String, sink: Sink<'_>);
    /// The single value at `path`, as text.
    ///
    /// # Errors
    /// Where there is none.
    fn get(&self, path: &str) -> Result<String, PathError>;
    /// Change the single value at `path`.
    ///
    /// # Errors
    /// Where there is none, or `text` is no value for it; nothing has changed.
    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError>;

    /// Path and text of every single value.
    fn values(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.list(&mut String::new(), &mut |path, text| found.push((path.to_string(), text.to_string())));
        found
    }
}

/// Go on with `name` added to the path.
pub(crate) fn within(path: &mut String, name: &str, go: impl FnOnce(&mut String)) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(name);
    go(path);
    path.truncate(length);
}

/// Text of a number: decimal, or hexadecimal after 0x.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn leaf(path: &str) -> Result<(), PathError> {
    if path.is_empty() { Ok(()) } else { Err(PathError::NoSuchField) }
}

macro_rules! number {
    ($($type:ty)+) => {$(
        impl Value for $type {
            const WIRE: Wire = Wire::Number;

            fn encode(&self, out: &mut Vec<u8>) {
                varint::encode(u64::from(*self), out);
            }

            fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
                let (number, length) = varint::decode(payload)?;
                if length != payload.len() {
                    return Err(Cause::Trailing.into());
                }
                Self::try_from(number).map_err(|_| Cause::BadNumber.into())
            }

            fn list(&self, path: &mut String, sink: Sink<'_>) {
                sink(path, &format!("{self:#x}"));
            }

            fn get(&self, path: &str) -> Result<String, PathError> {
                leaf(path).map(|()| format!("{self:#x}"))
            }

            fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
                leaf(path)?;
                *self = parse(text).and_then(|n| Self::try_from(n).ok()).ok_or(PathError::BadValue)?;
                Ok(())
            }
        }
    )+};
}
number!(u8 u16 u32 u64);

impl Value for bool {
    const WIRE: Wire = Wire::Number;

    fn encode(&self, out: &mut Vec<u8>) {
        u8::from(*self).encode(out);
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        match u8::decode(payload)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Cause::BadNumber.into()),
        }
    }

    fn list(&self, path: &mut String, sink: Sink<'_>) {
        sink(path, if *self { "true" } else { "false" });
    }

    fn get(&self, path: &str) -> Result<String, PathError> {
        leaf(path).map(|()| self.to_string())
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
        leaf(path)?;
        *self = text.parse().map_err(|_| PathError::BadValue)?;
        Ok(())
    }
}

/// Bytes without further meaning here; as text: two hexadecimal digits each.
#[derive(Clone, Debug, Default, Eq)]
pub struct Bytes(pub Vec<u8>);

/// By blocks: nearly all that is compared while a machine stands still is an XSAVE area.
impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        blocks::are_equal(&self.0, &other.0)
    }
}

impl Bytes {
    fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl Value for Bytes {
    const WIRE: Wire = Wire::Bytes;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(payload.to_vec()))
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        self.0.clear();
        self.0.extend_from_slice(payload);
        Ok(())
    }

    fn list(&self, path: &mut String, sink: Sink<'_>) {
        sink(path, &self.text());
    }

    fn get(&self, path: &str) -> Result<String, PathError> {
        leaf(path).map(|()| self.text())
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
        leaf(path)?;
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8).ok_or(PathError::BadValue);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PathError::BadValue);
        }
        self.0 = pairs
            .iter()
            .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl Value for String {
    const WIRE: Wire = Wire::Bytes;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        String::from_utf8(payload.to_vec()).map_err(|_| Cause::BadText.into())
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let text = core::str::from_utf8(payload).map_err(|_| Cause::BadText)?;
        self.clear();
        self.push_str(text);
        Ok(())
    }

    fn list(&self, path: &mut String, sink: Sink<'_>) {
        sink(path, self);
    }

    fn get(&self, path: &str) -> Result<String, PathError> {
        leaf(path).map(|()| self.clone())
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
        leaf(path)?;
        *self = text.to_string();
        Ok(())
    }
}
