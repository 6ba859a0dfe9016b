// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log: lines to the console service, by way of the `log` crate.
//!
//! A service without a capability to the console logs into the void. A console that does not answer in time costs
//! the line, never the service.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use abi::CPtr;
use api::Interface;
use api::console::{self, Console, MAX_TEXT};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::ipc::Scratch;
use crate::{syscall, time};

/// Endpoint of the console, 0 for none.
static CONSOLE: AtomicU64 = AtomicU64::new(0);

/// A [`Sink`] in place of the console, null for none.
static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static LINES: AtomicU64 = AtomicU64::new(0);

/// Takes lines in place of the console.
pub type Sink = fn(&str);

/// Longest wait for the console.
const PATIENCE_MS: u64 = 2000;
/// More than a request to write the longest text takes.
const WRITE_BYTES: usize = MAX_TEXT + 16;

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

/// Sends lines to the console behind this endpoint from now on.
pub fn set_console(endpoint: CPtr) {
    CONSOLE.store(endpoint, Ordering::Relaxed);
    // A second call finds the logger in place already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Sends lines to `sink` from now on: for a program that runs before the console.
pub fn set_sink(sink: Sink) {
    SINK.store(sink as *mut (), Ordering::Release);
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Lines that were to be logged so far: for whoever promises to do without.
#[must_use]
pub fn lines() -> u64 {
    LINES.load(Ordering::Relaxed)
}

/// Sends a line to the console, if there is one.
pub fn say(text: fmt::Arguments<'_>) {
    let _ = try_say(text, PATIENCE_MS);
}

/// The same, waiting at most `patience_ms`; says whether the console took it.
#[must_use]
pub fn try_say(text: fmt::Arguments<'_>, patience_ms: u64) -> bool {
    LINES.fetch_add(1, Ordering::Relaxed);
    let endpoint = CONSOLE.load(Ordering::Relaxed);
    let sink = SINK.load(Ordering::Acquire);
    if endpoint == 0 && sink.is_null() {
        return false;
    }
    let mut line = Line { text: [0; MAX_TEXT], size: 0 };
    let _ = line.write_fmt(text);
    if !sink.is_null() {
        // SAFETY: What is not null was stored by `set_sink`, from a `Sink`.
        let sink: Sink = unsafe { core::mem::transmute::<*mut (), Sink>(sink) };
        sink(line.as_str());
        return true;
    }
    let mut scratch = Scratch::<WRITE_BYTES>::new();
    let Ok(size) = console::encode_write(line.as_str(), &mut scratch.0) else { return false };
    let (info, words) = scratch.send(Console::LABEL, size);
    syscall::call(endpoint, info, words, time::after_ms(patience_ms)).is_ok()
}
