// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several CPUs share: values that are set once, and a lock.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const SET: u8 = 2;

/// A value that the boot CPU sets once, before others read it.
pub(crate) struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written once, by who moved `state` from EMPTY to BUSY, and only read after
// it is SET.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Sets the value; later values are dropped.
    pub(crate) fn set(&self, value: T) -> &T {
        if self.state.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            // SAFETY: we are the only one to get past EMPTY, and nobody reads before SET.
            unsafe { (*self.value.get()).write(value) };
            self.state.store(SET, Ordering::Release);
        }
        match self.get() {
            Some(value) => value,
            None => unreachable!("a value is set by one CPU"),
        }
    }

    /// The value, if it has been set.
    pub(crate) fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) == SET {
            // SAFETY: SET means that the value is written, and it never changes again.
            Some(unsafe { (*self.value.get()).assume_init_ref() })
        } else {
            None
        }
    }
}

/// A spinlock for the turns at a device. It gives up waiting after a while, since last words must
/// come out: so it guards no value.
pub(crate) struct SpinLock {
    taken: AtomicBool,
}

const PATIENCE: u32 = 100_000_000;

impl SpinLock {
    pub(crate) const fn new() -> Self {
        Self { taken: AtomicBool::new(false) }
    }

    pub(crate) fn lock(&self) -> Turn<'_> {
        let mut patience = PATIENCE;
        while self.taken.swap(true, Ordering::Acquire) && patience > 0 {
            while self.taken.load(Ordering::Relaxed) && patience > 0 {
                core::hint::spin_loop();
                patience -= 1;
            }
        }
        Turn { lock: self }
    }
}

/// Ends when dropped.
pub(crate) struct Turn<'a> {
    lock: &'a SpinLock,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lock.taken.store(false, Ordering::Release);
    }
}
