// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading fields out of bytes that somebody else wrote.

use super::error::{Cause, DecodeError};
use super::value::{Value, Wire};
use super::varint;

/// Number, wire type and payload of a field.
pub type RawField<'a> = (u16, Wire, &'a [u8]);

/// The fields of a record, one by one.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Lowest number that the next field may have.
    next: u32,
}

impl<'a> Reader<'a> {
    /// The fields in these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, next: 0 }
    }

    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// Where the bytes are not a field.
    pub fn next_field(&mut self) -> Result<Option<RawField<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.number()?;
        let number = u16::try_from(key >> 2).map_err(|_| Cause::BadNumber)?;
        if u32::from(number) < self.next {
            return Err(Cause::BadOrder.into());
        }
        self.next = u32::from(number) + 1;
        let wire = Wire::from_bits(key);
        let payload = match wire {
            Wire::Number => {
                let (_, length) = varint::decode(self.rest)?;
                self.take(length as u64)?
            }
            Wire::Bytes | Wire::Record | Wire::List => self.item()?,
        };
        Ok(Some((number, wire, payload)))
    }

    /// The next item of a list; `None` at the end.
    ///
    /// # Errors
    /// Where the bytes are not an item.
    pub fn next_item(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.rest.is_empty() { Ok(None) } else { self.item().map(Some) }
    }

    /// Changes a value to what a field says.
    ///
    /// # Errors
    /// Where the payload is not one of this type. The value may have changed in part.
    pub fn apply<T: Value>(value: &mut T, wire: Wire, payload: &[u8]) -> Result<(), DecodeError> {
        if wire != T::WIRE {
            return Err(Cause::WrongType.into());
        }
        value.apply(payload)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let (number, length) = varint::decode(self.rest)?;
        self.take(length as u64)?;
        Ok(number)
    }

    fn item(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.number()?;
        self.take(length)
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| Cause::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Cause::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
