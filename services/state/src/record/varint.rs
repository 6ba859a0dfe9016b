// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of variable length: seven bits per byte, lowest first, shortest form only.

use alloc::vec::Vec;

use super::error::Cause;

/// Append a number.
pub(crate) fn encode(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Read a number; also how many bytes it took.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<(u64, usize), Cause> {
    match bytes.first() {
        // Most are: keys, lengths, registers that are zero.
        Some(&short @ 0..0x80) => Ok((u64::from(short), 1)),
        _ => decode_long(bytes),
    }
}

fn decode_long(bytes: &[u8]) -> Result<(u64, usize), Cause> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return Err(Cause::BadNumber);
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let longer_than_needed = *byte == 0 && index > 0;
            return if longer_than_needed { Err(Cause::BadNumber) } else { Ok((number, index + 1)) };
        }
    }
    Err(if bytes.len() < 10 { Cause::Truncated } else { Cause::BadNumber })
}

#[cfg(test)]
mod tests {
    use super::{Cause, decode, encode};
    use alloc::vec::Vec;

    #[test]
    fn every_length_comes_back() {
        for shift in 0..64 {
            for number in [1 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                encode(number, &mut bytes);
                assert_eq!(decode(&bytes), Ok((number, bytes.len())));
                assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(Cause::Truncated));
            }
        }
    }

    #[test]
    fn only_the_shortest_form_is_a_number() {
        assert_eq!(decode(&[0x80, 0]), Err(Cause::BadNumber));
        assert_eq!(decode(&[0xff; 10]), Err(Cause::BadNumber));
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(Cause::BadNumber));
    }
}
