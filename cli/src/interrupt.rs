// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C: the tool ends, and says so where the system goes on with what it was told.

use std::sync::{Mutex, PoisonError};

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// What the system does at the moment, and where one sees how far it is.
static UNDERWAY: Mutex<Option<String>> = Mutex::new(None);

/// Exit status of a program that Ctrl-C has ended, as shells have it.
const INTERRUPTED: i32 = 128 + SIGINT;

/// While this lives, Ctrl-C says what goes on.
#[derive(Debug)]
pub struct Underway(());

impl Underway {
    /// The text is a sentence.
    pub fn new(text: String) -> Self {
        set(Some(text));
        Self(())
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        set(None);
    }
}

fn set(text: Option<String>) {
    *UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

/// From here on Ctrl-C ends the tool this way. Without signals it ends it as every program.
pub fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            if let Some(text) = UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).take() {
                eprintln!("\n{text}");
            }
            std::process::exit(INTERRUPTED);
        }
    });
}
