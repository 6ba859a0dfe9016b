// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages in shared memory: one ring in each direction, in a page of its own.
//!
//! Word 0 counts the messages written, word 1 those read; message *n* lies in the three words from
//! 8 + 3 * (n mod [`SLOTS`]) on. The writer of a page writes word 0 and the messages, the reader
//! word 1. Counts that no party makes are an error of the other side, after which the channel
//! carries nothing any more.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{DecodeError, FRAME_BYTES, Message};

/// Words of a page.
pub const CHANNEL_WORDS: usize = 512;
/// Messages that fit at once: more than both machines ever leave unread.
const SLOTS: u64 = 128;
const FIRST: usize = 8;
const WORDS: usize = FRAME_BYTES / 8;

/// One direction.
#[derive(Clone, Copy)]
pub struct Channel<'a> {
    page: &'a [AtomicU64; CHANNEL_WORDS],
}

/// Why a channel carries no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The other side does not read.
    Full,
    /// The counts make no sense.
    Counts,
    /// What lies there is no message.
    Message(DecodeError),
}

impl<'a> Channel<'a> {
    /// The channel in a page. A page of zeros is an empty one.
    #[must_use]
    pub const fn new(page: &'a [AtomicU64; CHANNEL_WORDS]) -> Self {
        Self { page }
    }

    fn counts(&self) -> Result<(u64, u64), ChannelError> {
        let [written, read] = [0, 1].map(|at| self.page[at].load(Ordering::Acquire));
        if written.wrapping_sub(read) <= SLOTS { Ok((written, read)) } else { Err(ChannelError::Counts) }
    }

    fn slot(number: u64) -> usize {
        FIRST + (number % SLOTS) as usize * WORDS
    }

    /// Whether something waits to be read.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.counts().is_ok_and(|(written, read)| written != read)
    }

    /// Writes a message.
    ///
    /// # Errors
    /// `Full`, `Counts`: nothing is written.
    pub fn send(&self, message: &Message) -> Result<(), ChannelError> {
        let (written, read) = self.counts()?;
        if written.wrapping_sub(read) == SLOTS {
            return Err(ChannelError::Full);
        }
        let frame = message.encode();
        let (words, _) = frame.as_chunks::<8>();
        for (at, word) in (Self::slot(written)..).zip(words) {
            self.page[at].store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        self.page[0].store(written.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Reads the next message, if there is one. One that cannot be read is passed over.
    ///
    /// # Errors
    /// `Counts`, `Message`.
    pub fn receive(&self) -> Result<Option<Message>, ChannelError> {
        let (written, read) = self.counts()?;
        if written == read {
            return Ok(None);
        }
        let mut frame = [0; FRAME_BYTES];
        let (words, _) = frame.as_chunks_mut::<8>();
        for (at, word) in (Self::slot(read)..).zip(words) {
            *word = self.page[at].load(Ordering::Relaxed).to_le_bytes();
        }
        self.page[1].store(read.wrapping_add(1), Ordering::Release);
        Message::decode(&frame).map(Some).map_err(ChannelError::Message)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANNEL_WORDS, Channel, ChannelError, SLOTS};
    use crate::{Message, Reason, Resource};
    use core::sync::atomic::{AtomicU64, Ordering};

    fn page() -> [AtomicU64; CHANNEL_WORDS] {
        [const { AtomicU64::new(0) }; CHANNEL_WORDS]
    }

    #[test]
    fn messages_arrive_in_order_round_and_round() {
        let page = page();
        let channel = Channel::new(&page);
        for number in 0..1000_u32 {
            let message = Message::Offer(Resource::Extent(number as u8));
            channel.send(&message).unwrap();
            channel.send(&Message::Abort(Reason::Failed)).unwrap();
            assert_eq!(channel.receive(), Ok(Some(message)));
            assert_eq!(channel.receive(), Ok(Some(Message::Abort(Reason::Failed))));
            assert_eq!(channel.receive(), Ok(None));
        }
    }

    #[test]
    fn a_full_channel_refuses_and_loses_nothing() {
        let page = page();
        let channel = Channel::new(&page);
        for number in 0..SLOTS {
            channel.send(&Message::Prepare(number as u8)).unwrap();
        }
        assert_eq!(channel.send(&Message::Retire), Err(ChannelError::Full));
        for number in 0..SLOTS {
            assert_eq!(channel.receive(), Ok(Some(Message::Prepare(number as u8))));
        }
    }

    #[test]
    fn nonsense_from_the_other_side_is_an_error_and_no_more() {
        let page = page();
        let channel = Channel::new(&page);
        page[0].store(u64::MAX / 2, Ordering::Relaxed);
        assert_eq!(channel.receive(), Err(ChannelError::Counts));
        assert_eq!(channel.send(&Message::Retire), Err(ChannelError::Counts));
        assert!(!channel.is_waiting());
        page[0].store(1, Ordering::Relaxed);
        assert!(matches!(channel.receive(), Err(ChannelError::Message(_))));
        assert_eq!(channel.receive(), Ok(None));
    }
}
