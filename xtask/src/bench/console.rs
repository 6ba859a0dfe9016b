// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the log comes out: a guest floods its console, with the TSC in each line.
//!
//! A line that is lost does not come out, so it does not count. Instructions are counted, and a
//! tick of the TSC is one of them: a busy host changes nothing. On two CPUs that take turns, so
//! that the time of both counts.

use super::values::Values;
use crate::paths;
use crate::qemu::{Event, Machine, System};
use anyhow::{Result, bail};
use std::path::Path;
use std::time::Duration;

/// Before each line of the guest that counts.
const PREFIX: &str = "[flood] | hostile: flood ";
/// Lines of the guest before those that count: until rings and buffers are full.
const BEFORE: usize = 2_000;
/// Lines of the guest that count.
const LINES: usize = 10_000;
/// TSC ticks in a second where a tick is an instruction and an instruction takes a nanosecond
/// (`-icount shift=0`).
const TICKS_PER_SECOND: u64 = 1_000_000_000;
/// Time limit.
const LIMIT: Duration = Duration::from_secs(600);

/// Measures `console_bytes_per_second`.
pub fn measure(iso: &Path) -> Result<Values> {
    let machine =
        Machine { system: System::Named("bench-console"), cpus: 2, icount: true, ..Machine::default() };
    let log = paths::in_target("bench").join("console.log");
    let mut running = machine.start(iso, &log)?;
    let deadline = running.deadline(LIMIT);
    let (mut lines, mut first, mut bytes) = (0, 0, 0);
    loop {
        match running.next_within(&deadline)? {
            Event::Line(line) => {
                // CR and LF.
                bytes += line.len() as u64 + 2;
                let Some(tsc) = tsc_in(&line) else { continue };
                lines += 1;
                if lines == BEFORE {
                    (first, bytes) = (tsc, 0);
                }
                if lines == BEFORE + LINES {
                    let rate = bytes * TICKS_PER_SECOND / tsc.saturating_sub(first).max(1);
                    return Ok(Values::from([("console_bytes_per_second".to_owned(), rate)]));
                }
            }
            Event::Ended(status) => bail!("ended with {status}; see {}", paths::shown(&log)),
            Event::TimedOut => {
                bail!("{lines} lines within {} s; see {}", LIMIT.as_secs(), paths::shown(&log))
            }
        }
    }
}

/// The TSC at the end of a line of the flood.
fn tsc_in(line: &str) -> Option<u64> {
    line.strip_prefix(PREFIX)?.rsplit_once(" at ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::tsc_in;

    #[test]
    fn the_time_of_a_line_is_found() {
        assert_eq!(tsc_in("[flood] | hostile: flood flood at 123"), Some(123));
        assert_eq!(tsc_in("[flood] | hostile: flood flood at"), None);
        assert_eq!(tsc_in("[root] root: ready at 5"), None);
    }
}
