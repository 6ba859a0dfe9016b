// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image is refused.

use core::fmt;

use crate::FORMAT;

/// Why bytes are not an image that this hypervisor accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// They do not begin like one.
    NotAnImage,
    /// They are of another format.
    UnknownFormat(u16),
    /// Some are missing.
    Truncated {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes that the image has, as far as can be seen.
        of: u64,
    },
    /// There are more than the image has.
    TooLong {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes that the image has.
        of: u64,
    },
    /// They are not those that the digest was made of.
    Altered,
    /// The hypervisor that reads them has no key that could sign anything.
    NoKey,
    /// They were signed with another key, or not at all.
    NotSigned,
    /// They were signed, but by a tool that makes something else than this format.
    Malformed(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotAnImage => out.write_str("not an image of a hypervisor"),
            Refused::UnknownFormat(format) => {
                write!(out, "format {format} of images is not known here, only format {FORMAT} is")
            }
            Refused::Truncated { bytes, of } => write!(out, "truncated: {bytes} of {of} bytes"),
            Refused::TooLong { bytes, of } => write!(out, "too long: {bytes} bytes where the image has {of}"),
            Refused::Altered => out.write_str("altered: the bytes do not match their digest"),
            Refused::NoKey => out.write_str("this hypervisor has no key that images could be signed with"),
            Refused::NotSigned => out.write_str("not signed by the key of this hypervisor"),
            Refused::Malformed(what) => write!(out, "signed, but malformed: {what}"),
        }
    }
}

impl core::error::Error for Refused {}
