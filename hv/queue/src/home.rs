// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CPUs agree on about an object without a lock: its place in an inbox, and the CPU whose it
//! is.
//!
//! All zero bytes are a free object that is in no inbox. `tests/model` runs it under every order of
//! its atomics.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};

/// The link by which an object stands in the inbox of a CPU, once at a time.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Post {
    /// Next in the inbox.
    pub next: AtomicU64,
    /// The CPU that sent it last, plus one; 0 while it is in no inbox.
    by: AtomicU32,
}

impl Post {
    /// Notes that a CPU (index plus one) sends it. False if it is in an inbox already.
    #[must_use]
    pub fn claim(&self, here: u32) -> bool {
        self.by.swap(here, Ordering::SeqCst) == 0
    }

    /// Notes that it has been taken out of the inbox; who sent it last.
    pub fn release(&self) -> u32 {
        self.by.swap(0, Ordering::SeqCst)
    }
}

/// The CPU that an endpoint or a reply object belongs to: only that CPU touches its cells and those
/// of the threads that wait in it. It gives the object away when another CPU asks; a free one
/// belongs to the first that takes it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Home {
    /// That CPU, plus one; 0 for none.
    cpu: AtomicU32,
    /// The CPU whose last request was refused, plus one.
    refused: AtomicU32,
    /// The request of another CPU.
    pub post: Post,
}

impl Home {
    /// The CPU, plus one; 0 for none.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.cpu.load(Ordering::Acquire)
    }

    /// The CPU, plus one: this one (`here`) from now on if there was none.
    pub fn take_free(&self, here: u32) -> u32 {
        match self.cpu.compare_exchange(0, here, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => here,
            Err(other) => other,
        }
    }

    /// Gives the object to another CPU. By its present one, or with every CPU stopped.
    pub fn give(&self, to: u32) {
        self.cpu.store(to, Ordering::Release);
    }

    /// Tells a CPU that asked that it does not get the object.
    pub fn refuse(&self, asker: u32) {
        self.refused.store(asker, Ordering::Release);
    }

    /// Whether a request of this CPU was refused since it last looked.
    pub fn was_refused(&self, here: u32) -> bool {
        self.refused.compare_exchange(here, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
