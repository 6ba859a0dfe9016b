// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why bytes that somebody else wrote are no record.

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// They end too early.
    Truncated,
    /// A number is too large for its field, or not in its shortest form.
    BadNumber,
    /// A field comes twice, or after one with a higher number.
    BadOrder,
    /// A field has another wire type than it must have.
    WrongType,
    /// Text is not UTF-8.
    BadText,
    /// A list has too many items, or another number of them than it must have.
    WrongCount,
    /// Bytes follow after the end.
    Trailing,
}

/// Bytes are no record of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Outermost field that could not be read; empty where there is none.
    pub field: &'static str,
    /// Why.
    pub cause: Cause,
}

impl DecodeError {
    /// The same, as seen from the record around it.
    #[must_use]
    pub const fn within(self, field: &'static str) -> Self {
        Self { field, cause: self.cause }
    }
}

impl From<Cause> for DecodeError {
    fn from(cause: Cause) -> Self {
        Self { field: "", cause }
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let cause = match self.cause {
            Cause::Truncated => "ends too early",
            Cause::BadNumber => "has a number out of range",
            Cause::BadOrder => "has a field out of order",
            Cause::WrongType => "has a field of another type",
            Cause::BadText => "has text that is not UTF-8",
            Cause::WrongCount => "has a list of the wrong length",
            Cause::Trailing => "has bytes after its end",
        };
        if self.field.is_empty() { f.write_str(cause) } else { write!(f, "{} {cause}", self.field) }
    }
}
