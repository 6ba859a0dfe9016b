// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simplest expectation: lines that a machine's console says.

use crate::live::CORE_PANIC;
use crate::qemu::{Deadline, Event, Running};
use anyhow::{Result, bail};

/// Waits until all lines were said, in any order.
pub fn says(running: &mut Running, deadline: &Deadline, lines: &[String]) -> Result<()> {
    let mut missing: Vec<&String> = lines.iter().collect();
    while !missing.is_empty() {
        match running.next_within(deadline)? {
            Event::Line(text) if text.contains(CORE_PANIC) => bail!("the core stopped: {text}"),
            Event::Line(text) => missing.retain(|line| !text.contains(line.as_str())),
            Event::Ended(status) => bail!("the machine ended ({status}) and did not say {missing:?}"),
            Event::TimedOut => bail!("did not say {missing:?} within the time limit"),
        }
    }
    Ok(())
}
