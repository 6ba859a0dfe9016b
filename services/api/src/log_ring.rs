// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring of log lines in memory that one writer and the console share.
//!
//! The writer never waits: a line that does not fit is dropped and counted. Either side may write
//! any word at any time, so each of them checks what it reads: wrong numbers cost lines of this
//! ring, and nothing else. The memory is root's and outlives both sides.
//!
//! Words of [`HEADER`], then data. A record is a word with the number of its bytes, a word with the
//! TSC at which it was written, and the bytes, padded to whole words. Positions count words since
//! the beginning.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::console::MAX_TEXT;

/// Bytes of a ring.
pub const BYTES: u64 = 32 << 10;
/// Bit of the console's doorbell that writers set.
pub const BELL: u64 = 1 << 62;

/// Words before the data.
pub const HEADER: usize = 8;
/// Where the next record goes. The writer's.
const HEAD: usize = 0;
/// Lines dropped so far. The writer's.
const LOST: usize = 1;
/// Where the oldest record begins. The reader's.
const TAIL: usize = 2;
/// Dropped lines that were reported. The reader's.
const REPORTED: usize = 3;
/// Whether the reader wants to be woken. The reader sets it, either side clears it.
const ASLEEP: usize = 4;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the ring.
    Kept,
    /// It is in the ring, and the reader is to be woken.
    Wake,
    /// There was no room.
    Lost,
}

/// Puts a line into the ring. Does nothing where there are too few words for a ring.
pub fn write(ring: &[AtomicU64], time: u64, text: &[u8]) -> Written {
    let Some((header, data)) = split(ring) else { return Written::Lost };
    let text = &text[..text.len().min(MAX_TEXT)];
    let words = 2 + text.len().div_ceil(8) as u64;
    let head = header[HEAD].load(Relaxed);
    let used = head.wrapping_sub(header[TAIL].load(Acquire));
    if used > data.len() as u64 || words > data.len() as u64 - used {
        header[LOST].store(header[LOST].load(Relaxed).wrapping_add(1), Relaxed);
        return Written::Lost;
    }
    let body = text.chunks(8).map(|part| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    });
    for (position, word) in (head..).zip([text.len() as u64, time].into_iter().chain(body)) {
        data[place(data, position)].store(word, Relaxed);
    }
    // Sequentially consistent, as is `Reader::sleep`: the writer sees that the reader sleeps, or
    // the reader sees the record.
    header[HEAD].store(head.wrapping_add(words), SeqCst);
    if header[ASLEEP].load(SeqCst) != 0 && header[ASLEEP].swap(0, SeqCst) != 0 {
        return Written::Wake;
    }
    Written::Kept
}

/// A line from a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// TSC at which it was written, as the writer says.
    pub time: u64,
    /// Text.
    pub text: String,
}

/// The reading side.
pub struct Reader<'a> {
    header: &'a [AtomicU64],
    data: &'a [AtomicU64],
    tail: u64,
    /// Records that made no sense, not yet reported.
    damaged: u64,
}

impl<'a> Reader<'a> {
    /// Reads on where the last reader stopped; `None` where there are too few words for a ring.
    #[must_use]
    pub fn new(ring: &'a [AtomicU64]) -> Option<Self> {
        let (header, data) = split(ring)?;
        Some(Self { header, data, tail: header[TAIL].load(Relaxed), damaged: 0 })
    }

    /// Takes the oldest line.
    pub fn take(&mut self) -> Option<Record> {
        let head = self.header[HEAD].load(Acquire);
        let used = head.wrapping_sub(self.tail);
        if used == 0 {
            return None;
        }
        let size = self.word(0);
        let words = size.div_ceil(8).saturating_add(2);
        if used > self.data.len() as u64 || size > MAX_TEXT as u64 || words > used {
            self.damaged += 1;
            self.advance(used);
            return None;
        }
        let mut bytes: Vec<u8> = (2..words).flat_map(|index| self.word(index).to_le_bytes()).collect();
        bytes.truncate(size as usize);
        let record = Record { time: self.word(1), text: String::from_utf8_lossy(&bytes).into_owned() };
        self.advance(words);
        Some(record)
    }

    /// How many lines were lost since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        let lost = self.header[LOST].load(Relaxed);
        let news = lost.wrapping_sub(self.header[REPORTED].swap(lost, Relaxed));
        news.wrapping_add(core::mem::take(&mut self.damaged))
    }

    /// Asks the writer to wake the reader; false where there is something to read already.
    #[must_use]
    pub fn sleep(&self) -> bool {
        self.header[ASLEEP].store(1, SeqCst);
        let empty = self.header[HEAD].load(SeqCst) == self.tail;
        if !empty {
            self.header[ASLEEP].store(0, Relaxed);
        }
        empty
    }

    fn word(&self, index: u64) -> u64 {
        self.data[place(self.data, self.tail.wrapping_add(index))].load(Relaxed)
    }

    fn advance(&mut self, words: u64) {
        self.tail = self.tail.wrapping_add(words);
        self.header[TAIL].store(self.tail, Release);
    }
}

/// Header and data; `None` without any data.
fn split(ring: &[AtomicU64]) -> Option<(&[AtomicU64], &[AtomicU64])> {
    ring.split_at_checked(HEADER).filter(|(_, data)| !data.is_empty())
}

/// Index of a position.
fn place(data: &[AtomicU64], position: u64) -> usize {
    (position % data.len() as u64) as usize
}

#[cfg(test)]
mod tests;
