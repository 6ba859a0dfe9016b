// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer to root's watch.
//!
//! Root sets a bit of the doorbell now and then. A service that waits for requests, or for its
//! doorbell, answers without knowing of it; one that does neither for longer than its manifest says
//! is started again.

use api::environment::WATCH;

use crate::{start, syscall};

/// Answers if root asks by these bits of the doorbell; returns the others.
pub(crate) fn answer(bits: u64) -> u64 {
    if bits & WATCH != 0
        && let Some(alive) = start::environment().and_then(|environment| environment.cap("alive"))
    {
        // Root takes silence for an answer too.
        let _ = syscall::signal(alive);
    }
    bits & !WATCH
}
