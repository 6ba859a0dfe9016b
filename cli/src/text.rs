// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers and states for people, and text that comes from the system made harmless.

use api::checkpoint::Stage;
use api::root::{Process, ProcessState};
use api::vmm::{State, Status};

use crate::refusal;

/// A number of bytes.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (count.max(1).ilog2() / 10).min(UNITS.len() as u32 - 1);
    let (whole, rest) = (count >> (unit * 10), count & ((1 << (unit * 10)) - 1));
    if rest == 0 {
        return format!("{whole} {}", UNITS[unit as usize]);
    }
    format!("{:.1} {}", count as f64 / (1u64 << (unit * 10)) as f64, UNITS[unit as usize])
}

/// A time span in milliseconds.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{}.{}s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A number of things that may be many.
pub fn count(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{:.1}G", number as f64 / 1e9),
    }
}

/// Text without what could command a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// The state of a partition in a word, and the reason where there is one. A VM's own word counts
/// more than that of the process that runs it.
pub fn state(process: &Process, status: Option<&Status>) -> (&'static str, Option<String>) {
    match &process.state {
        ProcessState::Refused(why) => ("refused", Some(plain(why))),
        ProcessState::Faulted(why) => ("faulted", Some(plain(why))),
        ProcessState::Killed => ("killed", None),
        ProcessState::Away => ("away", None),
        ProcessState::Running => match status.map(|status| &status.state) {
            None if process.is_vm => ("unknown", None),
            None | Some(State::Running) => ("running", None),
            Some(State::Paused) => ("paused", None),
            Some(State::Stopped) => ("shut off", None),
            Some(State::Away) => ("away", None),
            Some(State::Failed(why)) => ("crashed", Some(plain(why))),
        },
    }
}

/// How far a checkpoint is: a word, and the details.
pub fn stage(stage: &Stage) -> (&'static str, Option<String>) {
    let percent = |done: u64, total: u64| u128::from(done).saturating_mul(100).checked_div(total.into());
    let part = |done: u64, total: u64| Some(format!("{} %", percent(done, total).unwrap_or(100)));
    match *stage {
        Stage::Begun => ("begun", None),
        Stage::Copying { done, total } => ("copying", part(done, total)),
        Stage::Verifying { done, total } => ("verifying", part(done, total)),
        Stage::Complete => ("complete", None),
        Stage::Failed(reason) => ("failed", Some(refusal::why(reason))),
    }
}

/// A word, with details in parentheses.
pub fn with_details((word, details): (&'static str, Option<String>)) -> String {
    match details {
        Some(details) => format!("{word} ({details})"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, plain, span};

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 512, 4096, 268_435_456, 1 << 30].map(bytes),
            ["0 B", "512 B", "4 KiB", "256 MiB", "1 GiB"]
        );
        assert_eq!(bytes((1 << 30) + 4096), "1.0 GiB");
        assert_eq!(bytes(1_234_567), "1.2 MiB");
        assert_eq!([1234, 61_000, 3_660_000, 90_000_000].map(span), ["1.2s", "1m 01s", "1h 01m", "1d 01h"]);
    }

    #[test]
    fn many_things_take_few_columns() {
        assert_eq!([7, 999_999, 1_234_567, 5_000_000_000].map(count), ["7", "999999", "1.2M", "5.0G"]);
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a?[2Jb?c");
    }
}
