// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lock for which CPUs take turns.
//!
//! Who gives it up passes it to the next CPU that asks, in the order of their numbers, so each
//! waits for every other one once or twice at most. It owns the order of turns; what a CPU does
//! while it waits is the kernel's. `tests/model` runs it under every order of its atomics.

use crate::atomic::{AtomicU32, AtomicU64, Ordering, pause};

/// The lock, for up to 64 CPUs.
#[derive(Debug)]
pub struct TurnLock {
    /// The CPU that has it, plus one; 0 for none.
    holder: AtomicU32,
    /// CPUs that ask, a bit each. A bit is taken away by who grants the turn, or by its CPU.
    asking: AtomicU64,
}

impl TurnLock {
    /// A free lock, of two zeros.
    #[must_use]
    pub const fn new(holder: AtomicU32, asking: AtomicU64) -> Self {
        Self { holder, asking }
    }

    /// A CPU asks for its turn.
    pub fn ask(&self, cpu: u32) {
        self.asking.fetch_or(1 << cpu, Ordering::SeqCst);
    }

    /// Whether a CPU that has asked has the lock now.
    #[must_use]
    pub fn has(&self, cpu: u32) -> bool {
        match self.holder.compare_exchange(0, cpu + 1, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                self.asking.fetch_and(!(1 << cpu), Ordering::SeqCst);
                true
            }
            Err(holder) => holder == cpu + 1,
        }
    }

    /// The CPU that has the lock gives it up.
    pub fn pass(&self, cpu: u32) {
        loop {
            let asking = self.asking.load(Ordering::SeqCst);
            if asking == 0 {
                // Who asks from here on finds it free.
                return self.holder.store(0, Ordering::SeqCst);
            }
            let next = (cpu + 1 + asking.rotate_right(cpu + 1).trailing_zeros()) % u64::BITS;
            // It may have withdrawn.
            if self.asking.fetch_and(!(1 << next), Ordering::SeqCst) & 1 << next != 0 {
                return self.holder.store(next + 1, Ordering::SeqCst);
            }
        }
    }

    /// A CPU that has asked, and has not been seen to have the lock, does not want it any more.
    pub fn withdraw(&self, cpu: u32) {
        if self.asking.fetch_and(!(1 << cpu), Ordering::SeqCst) & 1 << cpu != 0 {
            return;
        }
        // It has been granted, at this moment perhaps.
        while self.holder.load(Ordering::SeqCst) != cpu + 1 {
            pause();
        }
        self.pass(cpu);
    }
}
