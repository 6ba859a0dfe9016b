// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages: the info word and the IPC buffer.
//!
//! Words 0 to 3 of a message travel in registers; the rest, and the capabilities, in the IPC
//! buffer, a page that the core and the thread share.

/// Words that travel in registers.
pub const REGISTER_WORDS: usize = 4;
/// Most words in one message.
pub const MAX_WORDS: usize = 480;
/// Most bytes in one message.
pub const MAX_BYTES: usize = MAX_WORDS * 8;
/// Most capabilities in one message.
pub const MAX_CAPS: usize = 4;

/// Word of the IPC buffer where the capabilities to be sent are named (`MAX_CAPS` words, as CPtr).
pub const CAPS_WORD: usize = 480;
/// Word of the IPC buffer where the slots for received capabilities are named (`MAX_CAPS` words; 0
/// refuses).
pub const RECEIVE_SLOTS_WORD: usize = 484;

/// The IPC buffer: words 0 to 3 are the place of the register words and are not read by the core.
#[repr(C, align(4096))]
pub struct IpcBuffer {
    /// Message words, then [`CAPS_WORD`] and [`RECEIVE_SLOTS_WORD`].
    pub words: [u64; 512],
}

const _: () = assert!(core::mem::size_of::<IpcBuffer>() == 4096);

/// What a message is: label, number of words, number of capabilities.
///
/// Bits 0-9 words, 12-14 capabilities, 15 "a notification, not a message", 16 "a fault", 32-63
/// label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info(pub u64);

impl Info {
    const NOTIFICATION: u64 = 1 << 15;
    const FAULT: u64 = 1 << 16;

    /// A message of `words` words under a label. Values beyond the maxima are cut to them.
    #[must_use]
    pub const fn new(label: u32, words: usize) -> Self {
        let words = if words > MAX_WORDS { MAX_WORDS } else { words };
        Self((label as u64) << 32 | words as u64)
    }

    /// The same with `caps` capabilities.
    #[must_use]
    pub const fn with_caps(self, caps: usize) -> Self {
        let caps = if caps > MAX_CAPS { MAX_CAPS } else { caps };
        Self(self.0 & !(7 << 12) | (caps as u64) << 12)
    }

    /// The info of a wake-up by a bound notification.
    #[must_use]
    pub const fn notification() -> Self {
        Self(Self::NOTIFICATION)
    }

    /// The same, marked as a fault that the core reports on a thread's behalf. Only the core
    /// can deliver this mark.
    #[must_use]
    pub const fn as_fault(self) -> Self {
        Self(self.0 | Self::FAULT)
    }

    /// The same without the marks that only the core may set.
    #[must_use]
    pub const fn from_user(bits: u64) -> Self {
        Self(bits & !(Self::NOTIFICATION | Self::FAULT))
    }

    /// What the message is about.
    #[must_use]
    pub const fn label(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Number of words, at most [`MAX_WORDS`].
    #[must_use]
    pub const fn words(self) -> usize {
        let words = (self.0 & 0x3ff) as usize;
        if words > MAX_WORDS { MAX_WORDS } else { words }
    }

    /// Number of capabilities, at most [`MAX_CAPS`].
    #[must_use]
    pub const fn caps(self) -> usize {
        let caps = (self.0 >> 12 & 7) as usize;
        if caps > MAX_CAPS { MAX_CAPS } else { caps }
    }

    /// Whether the receive was ended by the bound notification.
    #[must_use]
    pub const fn is_notification(self) -> bool {
        self.0 & Self::NOTIFICATION != 0
    }

    /// Whether the core sent this on behalf of a thread that faulted ([`crate::fault`]).
    #[must_use]
    pub const fn is_fault(self) -> bool {
        self.0 & Self::FAULT != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Info, MAX_CAPS, MAX_WORDS};

    #[test]
    fn info_keeps_its_fields_apart() {
        let info = Info::new(0xdead_beef, 7).with_caps(3);
        assert_eq!((info.label(), info.words(), info.caps()), (0xdead_beef, 7, 3));
        assert!(!info.is_notification() && !info.is_fault());
    }

    #[test]
    fn alleged_sizes_are_cut_to_the_maxima() {
        let info = Info::from_user(u64::MAX);
        assert_eq!((info.words(), info.caps()), (MAX_WORDS, MAX_CAPS));
        assert!(!info.is_notification() && !info.is_fault());
    }
}
