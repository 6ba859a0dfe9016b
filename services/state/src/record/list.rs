// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of values: of any length, or of one that is fixed.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::decode::Reader;
use super::error::{Cause, DecodeError};
use super::value::{MAX_ITEM_BYTES, MAX_ITEMS, PathError, Sink, Value, Wire, within};
use super::{encode_item, encode_payload, split};

/// Most items of a list of these.
fn most<T>() -> usize {
    MAX_ITEMS.min(MAX_ITEM_BYTES / size_of::<T>().max(1))
}

fn encode_changed_items<T: Value>(items: &[T], base: &[T], out: &mut Vec<u8>) {
    let mut base = base.iter();
    for item in items {
        match base.next() {
            Some(base) => encode_payload(out, |out| item.encode_change(base, out)),
            None => encode_item(item, out),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    const WIRE: Wire = Wire::List;

    fn encode(&self, out: &mut Vec<u8>) {
        encode_items(self, out);
    }

    fn encode_change(&self, base: &Self, out: &mut Vec<u8>) {
        encode_changed_items(self, base, out);
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(payload);
        let mut count = 0;
        while let Some(item) = reader.next_item()? {
            match self.get_mut(count) {
                Some(place) => place.apply(item)?,
                None if count >= most::<T>() => return Err(Cause::WrongCount.into()),
                None => self.push(T::decode(item)?),
            }
            count += 1;
        }
        self.truncate(count);
        Ok(())
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        items.apply(payload)?;
        Ok(items)
    }

    fn list(&self, path: &mut String, sink: Sink<'_>) {
        list_items(self, path, sink);
    }

    fn get(&self, path: &str) -> Result<String, PathError> {
        get_item(self, path)
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
        set_item(self, path, text)
    }
}

impl<T: Value + Copy + Default, const N: usize> Value for [T; N] {
    const WIRE: Wire = Wire::List;

    fn encode(&self, out: &mut Vec<u8>) {
        encode_items(self, out);
    }

    fn encode_change(&self, base: &Self, out: &mut Vec<u8>) {
        encode_changed_items(self, base, out);
    }

    fn apply(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(payload);
        for place in self {
            place.apply(reader.next_item()?.ok_or(Cause::WrongCount)?)?;
        }
        if reader.next_item()?.is_some() { Err(Cause::WrongCount.into()) } else { Ok(()) }
    }

    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut items = [T::default(); N];
        items.apply(payload)?;
        Ok(items)
    }

    fn list(&self, path: &mut String, sink: Sink<'_>) {
        list_items(self, path, sink);
    }

    fn get(&self, path: &str) -> Result<String, PathError> {
        get_item(self, path)
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), PathError> {
        set_item(self, path, text)
    }
}

fn encode_items<T: Value>(items: &[T], out: &mut Vec<u8>) {
    for item in items {
        encode_item(item, out);
    }
}

fn list_items<T: Value>(items: &[T], path: &mut String, sink: Sink<'_>) {
    for (index, item) in items.iter().enumerate() {
        within(path, &index.to_string(), |path| item.list(path, &mut *sink));
    }
}

fn get_item<T: Value>(items: &[T], path: &str) -> Result<String, PathError> {
    let (index, rest) = index(path)?;
    items.get(index).ok_or(PathError::NoSuchField)?.get(rest)
}

fn set_item<T: Value>(items: &mut [T], path: &str, text: &str) -> Result<(), PathError> {
    let (index, rest) = index(path)?;
    items.get_mut(index).ok_or(PathError::NoSuchField)?.set(rest, text)
}

fn index(path: &str) -> Result<(usize, &str), PathError> {
    if path.is_empty() {
        return Err(PathError::NotAValue);
    }
    let (first, rest) = split(path);
    Ok((first.parse().map_err(|_| PathError::NoSuchField)?, rest))
}
