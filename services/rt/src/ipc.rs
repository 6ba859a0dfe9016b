// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages: the IPC buffer, and typed calls in both directions.
//!
//! A value is encoded beside the IPC buffer and copied into it just before the system call, and
//! copied out just after, so that nothing that happens in between (a log line, say) can mix two
//! messages. Most messages are short: they get by with a short place beside it, since to clear a
//! long one takes longer than everything else.

mod client;
mod server;

use core::sync::atomic::{AtomicU64, Ordering};

use abi::message::{CAPS_WORD, Info, MAX_BYTES, MAX_CAPS, RECEIVE_SLOTS_WORD};
use api::interface::{self, TooLong};
use serde::{Serialize, de::DeserializeOwned};

use crate::layout;
use crate::syscall::Words;

pub use client::{CallError, Client, PATIENCE_MS};
pub use server::{Event, FaultReport, Held, Server, serve};

/// Where the IPC buffer of the program's thread is.
static BUFFER: AtomicU64 = AtomicU64::new(layout::IPC_BUFFER);

/// Waits so far.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// How often the program has waited for somebody so far: for an answer, a request or a signal. For
/// whoever promises to do without.
#[must_use]
pub fn waits() -> u64 {
    WAITS.load(Ordering::Relaxed)
}

/// It does so once more.
pub(crate) fn count_wait() {
    WAITS.fetch_add(1, Ordering::Relaxed);
}

/// Says where the IPC buffer is.
///
/// # Safety
/// There must be a page mapped readable and writable for good, used for nothing else.
pub(crate) unsafe fn set_buffer(address: u64) {
    BUFFER.store(address, Ordering::Relaxed);
}

/// Word `index` of the IPC buffer (0 beyond its end).
#[must_use]
pub fn read_word(index: usize) -> u64 {
    if index >= 512 {
        return 0;
    }
    let buffer = BUFFER.load(Ordering::Relaxed) as *const u64;
    // SAFETY: The buffer is a mapped page of 512 words (`set_buffer`), and `index` is below 512.
    // Volatile, for the core writes there too.
    unsafe { buffer.add(index).read_volatile() }
}

/// Sets word `index` of the IPC buffer (nothing beyond its end).
pub fn write_word(index: usize, value: u64) {
    if index >= 512 {
        return;
    }
    let buffer = BUFFER.load(Ordering::Relaxed) as *mut u64;
    // SAFETY: As in `read_word`.
    unsafe { buffer.add(index).write_volatile(value) };
}

/// Names the capabilities that the next message carries.
pub fn set_caps(caps: &[u64]) {
    for (index, &cap) in caps.iter().take(MAX_CAPS).enumerate() {
        write_word(CAPS_WORD + index, cap);
    }
}

/// Names the slots for the capabilities of the next message received; slots not named are refused
/// (0).
pub fn set_receive_slots(slots: &[u64]) {
    for index in 0..MAX_CAPS {
        write_word(RECEIVE_SLOTS_WORD + index, slots.get(index).copied().unwrap_or(0));
    }
}

/// Bytes of a message that counts as short.
const SHORT: usize = 64;

/// Encodes a value and puts it into the IPC buffer, but for the words that travel in registers.
pub(crate) fn write<T: Serialize>(label: u32, value: &T) -> Result<(Info, Words), TooLong> {
    let mut scratch = Scratch::<SHORT>::new();
    match interface::encode(value, &mut scratch.0) {
        Ok(size) => Ok(scratch.send(label, size)),
        Err(TooLong) => write_long(label, value),
    }
}

#[cold]
#[inline(never)]
fn write_long<T: Serialize>(label: u32, value: &T) -> Result<(Info, Words), TooLong> {
    let mut scratch = Scratch::<MAX_BYTES>::new();
    let size = interface::encode(value, &mut scratch.0)?;
    Ok(scratch.send(label, size))
}

/// Takes a message out of the IPC buffer and the registers; `None` where it makes no sense.
pub(crate) fn read<T: DeserializeOwned>(info: Info, words: Words) -> Option<T> {
    if info.words() * 8 > SHORT {
        return read_long(info, words);
    }
    interface::decode(Scratch::<SHORT>::new().take(info, words))
}

#[cold]
#[inline(never)]
fn read_long<T: DeserializeOwned>(info: Info, words: Words) -> Option<T> {
    interface::decode(Scratch::<MAX_BYTES>::new().take(info, words))
}

/// A message outside of the buffer.
pub(crate) struct Scratch<const N: usize>(pub [u8; N]);

impl<const N: usize> Scratch<N> {
    pub(crate) const fn new() -> Self {
        Self([0; N])
    }

    fn word(&self, index: usize, size: usize) -> u64 {
        let end = index * 8 + 8;
        if end <= size
            && let Some(bytes) = self.0.get(end - 8..end)
        {
            return u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        let mut word = [0; 8];
        for (offset, byte) in word.iter_mut().enumerate() {
            let at = index * 8 + offset;
            if at < size.min(N) {
                *byte = self.0[at];
            }
        }
        u64::from_le_bytes(word)
    }

    /// Puts the first `size` bytes into the IPC buffer; the register words and the info are
    /// returned.
    pub(crate) fn send(&self, label: u32, size: usize) -> (Info, Words) {
        let count = size.div_ceil(8).min(N / 8);
        for index in 4..count {
            write_word(index, self.word(index, size));
        }
        let mut words = [0; 4];
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.word(index, size);
        }
        (Info::new(label, count), words)
    }

    /// Takes a message out of the IPC buffer and the registers.
    pub(crate) fn take(&mut self, info: Info, words: Words) -> &[u8] {
        let count = info.words().min(N / 8);
        for (index, place) in self.0.chunks_exact_mut(8).enumerate().take(count) {
            let word = words.get(index).copied().unwrap_or_else(|| read_word(index));
            place.copy_from_slice(&word.to_le_bytes());
        }
        &self.0[..count * 8]
    }
}
