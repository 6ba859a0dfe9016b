// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much each client may write: a bucket of bytes that refills with time.
//!
//! A client that floods loses its own lines, and the log says how many; the lines of others are not delayed by more than
//! the few that its bucket held.

/// Bytes that a client may write at once.
pub const BURST: u64 = 128 << 10;
/// Bytes per second that it may write in the long run.
pub const PER_SECOND: u64 = 32 << 10;

/// One client's bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: u64,
    filled_at_ms: u64,
    suppressed: u64,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is written, after saying that this many before it were not.
    Write {
        /// Texts that were not.
        suppressed: u64,
    },
    /// It is not written.
    Suppress,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(now_ms: u64) -> Self {
        Self { level: BURST, filled_at_ms: now_ms, suppressed: 0 }
    }

    /// Judges a text of `size` bytes.
    pub fn judge(&mut self, size: usize, now_ms: u64) -> Verdict {
        let passed = now_ms.saturating_sub(self.filled_at_ms);
        let refill = passed.saturating_mul(PER_SECOND) / 1000;
        if refill > 0 {
            self.level = self.level.saturating_add(refill).min(BURST);
            self.filled_at_ms = now_ms;
        }
        // An empty text costs as well.
        let cost = size as u64 + 16;
        if cost > self.level {
            self.suppressed = self.suppressed.saturating_add(1);
            return Verdict::Suppress;
        }
        self.level -= cost;
        Verdict::Write { suppressed: core::mem::take(&mut self.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Bucket, PER_SECOND, Verdict};

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut bucket = Bucket::new(0);
        let written = (0..10_000).filter(|_| bucket.judge(1000, 0) != Verdict::Suppress).count();
        assert_eq!(written as u64, BURST / 1016);
        assert_eq!(bucket.judge(1000, 1000), Verdict::Write { suppressed: 10_000 - written as u64 });
    }

    #[test]
    fn the_bucket_refills_with_time_but_not_beyond_its_size() {
        let mut bucket = Bucket::new(0);
        while bucket.judge(1000, 0) != Verdict::Suppress {}
        let written = (0..10_000).filter(|_| bucket.judge(1000, 2000) != Verdict::Suppress).count();
        assert!((written as u64).abs_diff(2 * PER_SECOND / 1016) <= 1);
        let written = (0..10_000).filter(|_| bucket.judge(1000, 10_000_000) != Verdict::Suppress).count();
        assert_eq!(written as u64, BURST / 1016);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(5000);
        while bucket.judge(1000, 5000) != Verdict::Suppress {}
        assert_eq!(bucket.judge(1000, 0), Verdict::Suppress);
    }
}
