// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in messages, moved as a whole: `#[serde(with = "crate::bytes")]`.
//!
//! Without it serde goes through a vector of bytes one by one. The encoding is the same.

use alloc::vec::Vec;
use core::fmt;
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// Writes the bytes.
pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

/// Reads the bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    from.deserialize_byte_buf(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = Vec<u8>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plain(u8, Vec<u8>, u8);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Moved(u8, #[serde(with = "crate::bytes")] Vec<u8>, u8);

    #[test]
    fn the_encoding_is_that_of_a_vector() {
        for length in [0, 1, 127, 128, 3000] {
            let plain = postcard::to_allocvec(&Plain(1, vec![9; length], 2)).unwrap();
            assert_eq!(plain, postcard::to_allocvec(&Moved(1, vec![9; length], 2)).unwrap());
            let back = Moved(1, vec![9; length], 2);
            assert_eq!(postcard::from_bytes(&plain), Ok(back));
            assert!(postcard::from_bytes::<Moved>(&plain[..plain.len() - 2]).is_err());
        }
    }
}
