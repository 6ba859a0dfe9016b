// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the standard library lacks: CPUs to run on, timers that count, and memory mapped and
//! unmapped.
//!
//! Owns this program's only unsafe code: calls of the C library, which is linked in statically. See
//! their manual pages.

use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::FromRawFd;
use std::time::Duration;

/// Words of a set of CPUs.
const SET_WORDS: usize = 16;
const CLOCK_MONOTONIC: i32 = 1;
const PROTECTION_READ_WRITE: i32 = 3;
const MAP_PRIVATE_ANONYMOUS: i32 = 0x22;

#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
struct TimerTimes {
    interval: Time,
    first: Time,
}

unsafe extern "C" {
    safe fn sched_getcpu() -> i32;
    safe fn timerfd_create(clock: i32, flags: i32) -> i32;
    fn sched_setaffinity(process: i32, bytes: usize, set: *const u64) -> i32;
    fn timerfd_settime(timer: i32, flags: i32, new: *const TimerTimes, old: *mut TimerTimes) -> i32;
    fn mmap(address: *mut u8, bytes: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
    fn munmap(address: *mut u8, bytes: usize) -> i32;
}

/// Keeps the calling thread on one CPU, and sees that it is there.
pub fn stay_on(cpu: usize) -> Result<(), String> {
    let mut set = [0_u64; SET_WORDS];
    set[cpu / 64 % SET_WORDS] = 1 << (cpu % 64);
    // SAFETY: the set is as long as said, and only read.
    let failed = unsafe { sched_setaffinity(0, size_of_val(&set), set.as_ptr()) } != 0;
    if failed {
        return Err(format!("cannot run on CPU {cpu}: {}", Error::last_os_error()));
    }
    let here = sched_getcpu();
    if usize::try_from(here) == Ok(cpu) {
        Ok(())
    } else {
        Err(format!("runs on CPU {here} instead of {cpu}"))
    }
}

/// A timer that counts how often it has expired.
pub struct Timer {
    file: File,
}

impl Timer {
    /// Starts one.
    pub fn every(interval: Duration) -> Result<Self, String> {
        let descriptor = timerfd_create(CLOCK_MONOTONIC, 0);
        if descriptor < 0 {
            return Err(format!("no timer: {}", Error::last_os_error()));
        }
        // SAFETY: the descriptor was made just now, and nobody else has it.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let time =
            || Time { seconds: interval.as_secs() as i64, nanoseconds: interval.subsec_nanos().into() };
        let times = TimerTimes { interval: time(), first: time() };
        // SAFETY: the times are only read, and the old ones are not asked for.
        let failed = unsafe { timerfd_settime(descriptor, 0, &raw const times, std::ptr::null_mut()) } != 0;
        if failed { Err(format!("timer not set: {}", Error::last_os_error())) } else { Ok(Self { file }) }
    }

    /// Waits until it expires, unless it has; how often since the last time.
    pub fn wait(&mut self) -> Result<u64, String> {
        let mut count = [0; 8];
        self.file.read_exact(&mut count).map_err(|error| format!("timer: {error}"))?;
        Ok(u64::from_ne_bytes(count))
    }
}

/// Fresh memory, given back to the kernel when dropped.
pub struct Mapping {
    address: *mut u64,
    words: usize,
}

impl Mapping {
    /// Maps some.
    pub fn new(words: usize) -> Result<Self, String> {
        let bytes = words * 8;
        // SAFETY: the kernel chooses the place, so nothing that is mapped is touched.
        let address =
            unsafe { mmap(std::ptr::null_mut(), bytes, PROTECTION_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0) };
        if address.addr() == usize::MAX {
            return Err(format!("no memory: {}", Error::last_os_error()));
        }
        Ok(Self { address: address.cast(), words })
    }

    /// Its words.
    pub fn words(&mut self) -> &mut [u64] {
        // SAFETY: as many words were mapped, zero at first; they belong to this value alone until
        // it is dropped.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no borrow of its words outlives it.
        unsafe { munmap(self.address.cast(), self.words * 8) };
    }
}
