// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the other party is still there: each says so in a word of the bridge, and looks at the
//! other's.

use core::sync::atomic::Ordering;

use api::estate::ALIVE_AT;
use rt::time;
use succession::Party;

use super::bridge::{value, word};

/// How long a party may do nothing at all before it counts as fallen. Longer than its service may
/// wait for an answer, or takes to be started anew: whoever is taken for fallen loses the VMs that
/// it runs.
const SILENCE_MS: u64 = 20_000;
/// As many looks at it in that time: where the whole machine stood still, nobody was silent.
const SILENT_LOOKS: u32 = 1000;

/// What this party says, and what it has heard.
pub struct Pulse {
    me: Party,
    /// What the other party last said, since when that has not changed, and how often it was looked
    /// at since.
    heard: u64,
    heard_at: u64,
    looks: u32,
}

impl Pulse {
    /// Nothing was heard so far.
    pub fn new(me: Party) -> Self {
        Self { me, heard: 0, heard_at: time::now(), looks: 0 }
    }

    /// This party is at work.
    pub fn beat(&self) {
        if let Ok(word) = word(ALIVE_AT[self.me as usize]) {
            word.store(time::now(), Ordering::Relaxed);
        }
    }

    /// Whether the other party has not been at work for so long that it will not be again. While
    /// nobody listens, nobody is silent: whoever was told so and could not act on it is told again
    /// once it listens again and that time is over.
    pub fn has_stopped(&mut self, listens: bool) -> bool {
        let said = value(ALIVE_AT[self.me.peer() as usize]);
        if !listens || said != self.heard {
            (self.heard, self.heard_at, self.looks) = (said, time::now(), 0);
        }
        self.looks = self.looks.saturating_add(1);
        let since = time::now().saturating_sub(self.heard_at);
        self.looks > SILENT_LOOKS && since > SILENCE_MS * time::tsc_khz()
    }
}
