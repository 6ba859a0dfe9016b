// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records: structures of numbered fields, and everything that follows from the numbers.
//!
//! `record!` makes the structure, its encoding, and access by path. The encoding is canonical:
//! fields in ascending order, each at most once, numbers in the shortest form; so what loads saves
//! to the same bytes. A field whose number is not known here is kept and saved again in its place.
//! A released number never changes its meaning or type. A field that is absent has its default.
//!
//! Wire format. A record is a sequence of fields: key = varint(number << 2 | wire), then for wire 0
//! a varint, else varint(length) and that many bytes: wire 1 raw bytes or UTF-8, wire 2 a record,
//! wire 3 a list of varint(length), item.
//!
//! A *change* is a record without the fields that are as in a base that the reader has as well:
//! there, a field that is absent stays as it is. A list has all its items, each as a change of the
//! base's item in its place.

pub(crate) mod blocks;
mod decode;
mod error;
mod list;
mod value;
mod varint;

pub use decode::{RawField, Reader};
pub use error::{Cause, DecodeError};
pub(crate) use value::within;
pub use value::{Bytes, MAX_ITEMS, PathError, Sink, Value, Wire};

use alloc::vec::Vec;

/// What is known of a field besides its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Number on the wire.
    pub number: u16,
    /// Name in paths.
    pub name: &'static str,
    /// First line of its description.
    pub description: &'static str,
}

/// A structure made by `record!`.
pub trait Record: Value + Default {
    /// Its fields, by ascending number.
    const FIELDS: &'static [Field];
}

/// Fields that are not known here, to be saved again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(Vec<UnknownField>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct UnknownField {
    number: u16,
    wire: Wire,
    payload: Vec<u8>,
}

impl Unknown {
    /// Whether every field was known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of the fields.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().map(|field| field.number)
    }

    pub(crate) fn keep(&mut self, number: u16, wire: Wire, payload: &[u8]) {
        let field = UnknownField { number, wire, payload: payload.to_vec() };
        match self.0.binary_search_by_key(&number, |field| field.number) {
            Ok(place) => self.0[place] = field,
            Err(place) => self.0.insert(place, field),
        }
    }

    /// Write the fields with numbers from `from` to below `end`.
    #[inline]
    pub(crate) fn encode(&self, from: u16, end: u32, out: &mut Vec<u8>) {
        // As a rule there are none, and this is asked before each field of a machine that stands
        // still.
        if !self.0.is_empty() {
            self.encode_some(from, end, out);
        }
    }

    #[inline(never)]
    fn encode_some(&self, from: u16, end: u32, out: &mut Vec<u8>) {
        for field in self.0.iter().filter(|field| field.number >= from && u32::from(field.number) < end) {
            encode_field(field.number, field.wire, &field.payload, out);
        }
    }
}

/// Write a field whose payload is encoded already.
pub(crate) fn encode_field(number: u16, wire: Wire, payload: &[u8], out: &mut Vec<u8>) {
    varint::encode(u64::from(number) << 2 | wire as u64, out);
    if wire != Wire::Number {
        varint::encode(payload.len() as u64, out);
    }
    out.extend_from_slice(payload);
}

/// Write a field.
pub(crate) fn encode_value<T: Value>(number: u16, value: &T, out: &mut Vec<u8>) {
    encode_as(number, T::WIRE, out, |out| value.encode(out));
}

/// Write a field with the payload that `encode` writes.
#[inline]
fn encode_as(number: u16, wire: Wire, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    varint::encode(u64::from(number) << 2 | wire as u64, out);
    if wire == Wire::Number { encode(out) } else { encode_payload(out, encode) }
}

/// Write a field, unless it is as in the base.
#[inline]
pub(crate) fn encode_changed<T: Value + PartialEq>(number: u16, value: &T, base: &T, out: &mut Vec<u8>) {
    if value != base {
        encode_change_of(number, value, base, out);
    }
}

#[inline(never)]
fn encode_change_of<T: Value>(number: u16, value: &T, base: &T, out: &mut Vec<u8>) {
    encode_as(number, T::WIRE, out, |out| value.encode_change(base, out));
}

/// Write a value with its length before it.
pub(crate) fn encode_item<T: Value>(value: &T, out: &mut Vec<u8>) {
    encode_payload(out, |out| value.encode(out));
}

/// Write a payload with its length before it: in its place at once, since most of a machine are
/// short fields, and a machine is saved while it stands still.
pub(crate) fn encode_payload(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    // Room for the length of a payload below 128 bytes; a longer one moves.
    out.push(0);
    encode(out);
    let length = out.len() - start - 1;
    if let Some(place) = out.get_mut(start)
        && length < 0x80
    {
        *place = length as u8;
        return;
    }
    let end = out.len();
    varint::encode(length as u64, out);
    // The length stands behind the payload now; it comes before, and the placeholder goes.
    let width = out.len() - end;
    if let Some(field) = out.get_mut(start..) {
        field.rotate_right(width);
    }
    out.remove(start + width);
}

/// Split "a.b.c" into "a" and "b.c".
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or((path, ""))
}

/// Whether the numbers ascend.
pub(crate) const fn ascend(fields: &[Field]) -> bool {
    let mut i = 1;
    while i < fields.len() {
        if fields[i - 1].number >= fields[i].number {
            return false;
        }
        i += 1;
    }
    true
}

/// Declares a record: `number name: type,` per field.
macro_rules! record {
    ($(#[doc = $about:literal])+ pub struct $name:ident {
        $(#[doc = $first:literal] $(#[doc = $more:literal])* $number:literal $field:ident: $type:ty,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(#[doc = $first] $(#[doc = $more])* pub $field: $type,)+
            /// Fields of a later version.
            pub unknown: $crate::record::Unknown,
        }

        impl $crate::record::Record for $name {
            const FIELDS: &'static [$crate::record::Field] = &[
                $($crate::record::Field { number: $number, name: stringify!($field), description: $first },)+
            ];
        }

        const _: () = assert!($crate::record::ascend(<$name as $crate::record::Record>::FIELDS));

        impl $crate::record::Value for $name {
            const WIRE: $crate::record::Wire = $crate::record::Wire::Record;

            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                let mut next = 0;
                $(
                    self.unknown.encode(next, $number, out);
                    $crate::record::encode_value($number, &self.$field, out);
                    next = $number + 1;
                )+
                self.unknown.encode(next, 1 << 16, out);
            }

            fn encode_change(&self, base: &Self, out: &mut alloc::vec::Vec<u8>) {
                let unchanged = $crate::record::Unknown::default();
                let unknown = if self.unknown == base.unknown { &unchanged } else { &self.unknown };
                let mut next = 0;
                $(
                    unknown.encode(next, $number, out);
                    $crate::record::encode_changed($number, &self.$field, &base.$field, out);
                    next = $number + 1;
                )+
                unknown.encode(next, 1 << 16, out);
            }

            fn apply(&mut self, payload: &[u8]) -> Result<(), $crate::record::DecodeError> {
                let mut reader = $crate::record::Reader::new(payload);
                while let Some((number, wire, payload)) = reader.next_field()? {
                    match number {
                        $($number => $crate::record::Reader::apply(&mut self.$field, wire, payload)
                            .map_err(|error| error.within(stringify!($field)))?,)+
                        _ => self.unknown.keep(number, wire, payload),
                    }
                }
                Ok(())
            }

            fn decode(payload: &[u8]) -> Result<Self, $crate::record::DecodeError> {
                let mut value = Self::default();
                value.apply(payload)?;
                Ok(value)
            }

            fn list(&self, path: &mut alloc::string::String, sink: $crate::record::Sink<'_>) {
                $($crate::record::within(path, stringify!($field), |path| self.$field.list(path, &mut *sink));)+
            }

            fn get(&self, path: &str) -> Result<alloc::string::String, $crate::record::PathError> {
                let (first, rest) = $crate::record::split(path);
                match first {
                    $(stringify!($field) => self.$field.get(rest),)+
                    "" => Err($crate::record::PathError::NotAValue),
                    _ => Err($crate::record::PathError::NoSuchField),
                }
            }

            fn set(&mut self, path: &str, text: &str) -> Result<(), $crate::record::PathError> {
                let (first, rest) = $crate::record::split(path);
                match first {
                    $(stringify!($field) => self.$field.set(rest, text),)+
                    "" => Err($crate::record::PathError::NotAValue),
                    _ => Err($crate::record::PathError::NoSuchField),
                }
            }
        }
    };
}
pub(crate) use record;
