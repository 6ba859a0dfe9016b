// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of a test, and the line that says so.

use anyhow::Result;
use std::time::{Duration, Instant};

/// What came of a test, or of a group of tests that one program runs.
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// How long it took.
    pub time: Duration,
    /// What went wrong.
    pub detail: String,
}

impl Outcome {
    /// That of one test.
    pub fn of(name: &str, start: Instant, result: Result<()>) -> Outcome {
        let failed = usize::from(result.is_err());
        let detail = result.err().map(|error| format!("{error:#}")).unwrap_or_default();
        Outcome { name: name.to_owned(), passed: 1 - failed, failed, time: start.elapsed(), detail }
    }

    /// Prints it on one line, and below it what went wrong.
    pub fn show(&self) {
        let verdict = if self.failed == 0 { "ok    " } else { "FAILED" };
        let count = match self.passed + self.failed {
            0 | 1 => String::new(),
            count => format!("{count} tests"),
        };
        let line = format!("{verdict}  {:<44} {:7.1} s  {count}", self.name, self.time.as_secs_f64());
        println!("{}", line.trim_end());
        if self.failed > 0 {
            println!("{}", indent(&self.detail));
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
}
