// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the VMM told the guest.

use abi::guest::{BootPage, MAGIC, MAX_COMMAND_LINE};

/// What the VMM told the guest.
pub struct Boot {
    page: &'static BootPage,
}

impl Boot {
    /// # Panics
    /// If the page is not a boot page.
    pub(crate) fn new(page: &'static BootPage) -> Self {
        assert!(page.magic == MAGIC, "no boot page");
        Self { page }
    }

    /// The command line; empty if it is not UTF-8.
    #[must_use]
    pub fn command_line(&self) -> &'static str {
        let len = (self.page.command_line_len as usize).min(MAX_COMMAND_LINE);
        core::str::from_utf8(&self.page.command_line[..len]).unwrap_or("")
    }

    /// Whether the command line has this word.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.command_line().split_ascii_whitespace().any(|have| have == word)
    }

    /// The number in the word `name=number` of the command line, else `default`.
    #[must_use]
    pub fn number(&self, name: &str, default: u64) -> u64 {
        let words = self.command_line().split_ascii_whitespace();
        let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.find_map(|value| value.parse().ok()).unwrap_or(default)
    }

    /// Bytes of memory, from address 0.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.page.memory
    }

    /// TSC ticks per millisecond, at least 1.
    #[must_use]
    pub fn tsc_khz(&self) -> u64 {
        self.page.tsc_khz.max(1)
    }

    /// Token for hypercalls.
    #[must_use]
    pub fn token(&self) -> [u8; 16] {
        self.page.token
    }
}
