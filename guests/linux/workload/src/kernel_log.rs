// SPDX-License-Identifier: MIT OR Apache-2.0
//! Complaints in the kernel's log.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

const O_NONBLOCK: i32 = 0o4000;
/// More than a record has.
const RECORD_BYTES: usize = 8192;

/// Words, all of which a line has that says that something went wrong.
const COMPLAINTS: &[&[&str]] = &[
    &["lockup"],
    &["rcu", "stall"],
    &["rcu", "starved"],
    &["clocksource", "unstable"],
    &["clocksource", "skewed"],
    &["TSC", "unstable"],
    &["blocked for more than"],
    &["hung_task", "blocked"],
    &["BUG:"],
    &["WARNING:"],
    &["Oops"],
    &["Call Trace"],
    &["general protection"],
    &["NMI", "unknown reason"],
    &["not responding"],
    &["failed to come online"],
];

/// The log, from its beginning on.
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// Opens it; root may.
    pub fn open() -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open("/dev/kmsg")?;
        Ok(Self { file })
    }

    /// What it complains of since the last time.
    pub fn complaints(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => return found,
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&record[..bytes]);
                    found.extend(complaint(&text).map(str::to_owned));
                }
                // Records were overwritten before they were read: the next read goes on behind the
                // gap.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => return found,
            }
        }
    }
}

/// The text of a record `priority,number,time,flags;text`, if it is a complaint.
fn complaint(record: &str) -> Option<&str> {
    let text = record.split_once(';')?.1.lines().next()?;
    let complains = COMPLAINTS.iter().any(|words| words.iter().all(|word| text.contains(word)));
    complains.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn complaints_are_told_from_other_lines() {
        for text in [
            "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:",
            "smpboot: CPU 1 failed to come online",
        ] {
            assert_eq!(complaint(&format!("4,213,1234567,-;{text}\n SUBSYSTEM=cpu\n")), Some(text));
        }
        for text in [
            "clocksource: Switched to clocksource kvm-clock",
            "rcu: Hierarchical RCU implementation.",
            "NMI watchdog: Perf NMI watchdog permanently disabled",
        ] {
            assert_eq!(complaint(&format!("6,1,0,-;{text}\n")), None);
        }
    }
}
