// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log: lines to the console service, by way of the `log` crate.
//!
//! A line goes into a ring in memory that the console reads ([`api::log_ring`]). Nobody waits for
//! the console: where the ring is full the line is dropped, and the console says later how many
//! were. A service without a ring logs into the void.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use abi::CPtr;
use api::console::MAX_TEXT;
use api::environment::Window;
use api::log_ring::{self, Written};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::{syscall, time};

/// A [`Sink`] in place of the console, null for none.
static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// The ring: its address and its bytes.
static RING: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// What wakes the console, 0 for nothing.
static BELL: AtomicU64 = AtomicU64::new(0);
static LINES: AtomicU64 = AtomicU64::new(0);

/// Takes lines in place of the console.
pub type Sink = fn(&str);

/// Text that ends where the space ends.
struct Line {
    text: [u8; MAX_TEXT],
    size: usize,
}

impl Line {
    fn as_str(&self) -> &str {
        let bytes = self.text.get(..self.size).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            // The end may have cut a character.
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT - self.size;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.text[self.size..self.size + part.len()].copy_from_slice(part);
        self.size += part.len();
        Ok(())
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error => say(format_args!("error: {}", record.args())),
            Level::Warn => say(format_args!("warning: {}", record.args())),
            Level::Info | Level::Debug | Level::Trace => say(*record.args()),
        }
    }

    fn flush(&self) {}
}

/// Sends lines into this ring from now on; `bell` wakes the console.
pub(crate) fn set_ring(ring: Window, bell: CPtr) {
    RING[0].store(ring.va, Ordering::Relaxed);
    RING[1].store(ring.size, Ordering::Relaxed);
    BELL.store(bell, Ordering::Relaxed);
    init();
}

/// Words that others write as well, at any time; none where the window is empty.
pub(crate) fn words(window: Window) -> &'static [AtomicU64] {
    if window.va == 0 {
        return &[];
    }
    // SAFETY: Windows of log lines come from the environment alone: root has mapped them for the
    // service's life, readable and writable, and they begin with a page. Every access is atomic,
    // here and on the other side.
    unsafe { core::slice::from_raw_parts(window.va as *const AtomicU64, window.size as usize / 8) }
}

fn init() {
    // A second call finds the logger in place already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Sends lines to `sink` from now on: for a program that runs before the console.
pub fn set_sink(sink: Sink) {
    SINK.store(sink as *mut (), Ordering::Release);
    init();
}

/// Lines that were to be logged so far: for whoever promises to do without.
#[must_use]
pub fn lines() -> u64 {
    LINES.load(Ordering::Relaxed)
}

/// Puts a line into the log, if there is one. Does not wait.
pub fn say(text: fmt::Arguments<'_>) {
    LINES.fetch_add(1, Ordering::Relaxed);
    let sink = SINK.load(Ordering::Acquire);
    let [va, size] = RING.each_ref().map(|word| word.load(Ordering::Relaxed));
    let ring = words(Window { va, size });
    if ring.is_empty() && sink.is_null() {
        return;
    }
    let mut line = Line { text: [0; MAX_TEXT], size: 0 };
    let _ = line.write_fmt(text);
    if !sink.is_null() {
        // SAFETY: What is not null was stored by `set_sink`, from a `Sink`.
        let sink: Sink = unsafe { core::mem::transmute::<*mut (), Sink>(sink) };
        sink(line.as_str());
    } else if log_ring::write(ring, time::now(), line.as_str().as_bytes()) == Written::Wake {
        // Without a console there is nobody to wake.
        let _ = syscall::signal(BELL.load(Ordering::Relaxed));
    }
}
