// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: packets on a stream of bytes.
//!
//! A frame is the packet and its CRC-32, stuffed (COBS) so that it contains no zero byte, between
//! two zero bytes. So a reader that has lost its place finds it again at the next zero byte.

use alloc::vec::Vec;

/// Most bytes of a packet.
pub const MAX_PACKET: usize = 8192;
const CRC_SIZE: usize = 4;
/// Most bytes between two zero bytes: one more for every 254.
const MAX_STUFFED: usize = (MAX_PACKET + CRC_SIZE) + (MAX_PACKET + CRC_SIZE) / 254 + 1;

/// Something came that is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

/// CRC-32 (polynomial 0x04c11db7, reflected), as Ethernet has it.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, &byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// The frame of a packet.
#[must_use]
pub fn frame(packet: &[u8]) -> Vec<u8> {
    let crc = crc32(packet).to_le_bytes();
    let mut out = Vec::with_capacity(packet.len() + packet.len() / 254 + 8);
    out.push(0);
    // Each run of bytes that are not zero is led by its length plus one; at 255 no zero byte
    // follows the run.
    let mut lead = out.len();
    out.push(1);
    for &byte in packet.iter().chain(&crc) {
        if out[lead] == 255 {
            lead = out.len();
            out.push(1);
        }
        if byte == 0 {
            lead = out.len();
            out.push(1);
        } else {
            out.push(byte);
            out[lead] += 1;
        }
    }
    out.push(0);
    out
}

fn unstuff(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(stuffed.len());
    let mut rest = stuffed;
    while let Some((&lead, after)) = rest.split_first() {
        let run = usize::from(lead).checked_sub(1)?;
        out.extend_from_slice(after.get(..run)?);
        rest = &after[run..];
        if lead != 255 && !rest.is_empty() {
            out.push(0);
        }
    }
    Some(out)
}

/// Finds the frames in a stream. It never holds more than one frame's worth of bytes.
#[derive(Debug, Default)]
pub struct Reader {
    stuffed: Vec<u8>,
    overlong: bool,
}

impl Reader {
    /// Take the next byte; the packet if it completes one.
    ///
    /// # Errors
    /// `Garbled` at the end of what is no frame, and once for each that is too long.
    pub fn push(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Garbled> {
        if byte != 0 {
            if self.overlong {
                return Ok(None);
            }
            if self.stuffed.len() == MAX_STUFFED {
                self.overlong = true;
                self.stuffed = Vec::new();
                return Err(Garbled);
            }
            self.stuffed.push(byte);
            return Ok(None);
        }
        let stuffed = core::mem::take(&mut self.stuffed);
        if core::mem::take(&mut self.overlong) || stuffed.is_empty() {
            return Ok(None);
        }
        let mut packet = unstuff(&stuffed).ok_or(Garbled)?;
        let crc = packet.split_off(packet.len().checked_sub(CRC_SIZE).ok_or(Garbled)?);
        if packet.len() > MAX_PACKET || crc != crc32(&packet).to_le_bytes() {
            return Err(Garbled);
        }
        Ok(Some(packet))
    }
}

#[cfg(test)]
mod tests {
    use super::{Garbled, MAX_PACKET, Reader, crc32, frame};
    use alloc::vec;
    use alloc::vec::Vec;

    fn read(bytes: &[u8]) -> Vec<Result<Vec<u8>, Garbled>> {
        let mut reader = Reader::default();
        bytes.iter().filter_map(|&byte| reader.push(byte).transpose()).collect()
    }

    #[test]
    fn the_checksum_is_the_one_that_everybody_has() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn packets_come_back() {
        for size in [0, 1, 249, 250, 251, 253, 254, 255, 508, 1000, MAX_PACKET] {
            for fill in [0, 1, 255] {
                let packet = vec![fill; size];
                let framed = frame(&packet);
                assert_eq!(framed.iter().filter(|&&byte| byte == 0).count(), 2);
                assert_eq!(read(&framed), [Ok(packet)]);
            }
            let mixed: Vec<u8> = (0..size).map(|index| (index * 7 % 256) as u8).collect();
            assert_eq!(read(&frame(&mixed)), [Ok(mixed)]);
        }
    }

    #[test]
    fn a_frame_after_garbage_is_found() {
        let mut bytes = vec![7; 100];
        bytes.extend(frame(b"first"));
        bytes.extend(&frame(b"cut off")[..6]);
        bytes.extend(frame(b"second"));
        let found = read(&bytes);
        assert_eq!(found, [Err(Garbled), Ok(b"first".to_vec()), Err(Garbled), Ok(b"second".to_vec())]);
    }

    #[test]
    fn an_endless_frame_is_reported_once_and_takes_no_memory() {
        let mut reader = Reader::default();
        let garbled = (0..1_000_000).filter(|_| reader.push(9).is_err()).count();
        assert_eq!((garbled, reader.stuffed.capacity()), (1, 0));
        assert_eq!(reader.push(0), Ok(None));
        assert_eq!(frame(b"x").into_iter().find_map(|byte| reader.push(byte).unwrap()), Some(b"x".to_vec()));
    }

    #[test]
    fn every_single_flipped_bit_is_noticed() {
        let framed = frame(b"start linux");
        for bit in 8..(framed.len() - 1) * 8 {
            let mut bytes = framed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!read(&bytes).contains(&Ok(b"start linux".to_vec())));
        }
    }
}
