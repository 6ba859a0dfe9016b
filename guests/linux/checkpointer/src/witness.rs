// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence that a restored computer is whole: memory of this program, a file in the kernel's
//! memory, and identity.
//!
//! Owns a buffer whose every word is the present count, and a journal in `/tmp` with a line per
//! count. Both must agree with the counter after a restore.

use std::fs::{self, OpenOptions};
use std::io::Write;

/// Memory and a file that follow the counter.
pub struct Witness {
    words: Vec<u64>,
    journal: String,
}

impl Witness {
    /// A witness with `bytes` of memory and an empty journal.
    pub fn new(bytes: usize) -> Self {
        let journal = format!("/tmp/checkpointer.{}", std::process::id());
        let _ = fs::remove_file(&journal);
        Self { words: vec![0; bytes / 8], journal }
    }

    /// Notes a count.
    pub fn mark(&mut self, counter: u64) {
        self.words.fill(counter);
        let file = OpenOptions::new().create(true).append(true).open(&self.journal);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{counter}")) {
            println!("checkpointer: journal: {error}");
        }
    }

    /// Whether memory and journal agree with the counter.
    pub fn report(&self, counter: u64) -> String {
        let wrong = self.words.iter().filter(|&&word| word != counter).count();
        let memory = if wrong == 0 { "ok".to_owned() } else { format!("{wrong}-words-wrong") };
        let lines = fs::read_to_string(&self.journal).map_or(0, |text| text.lines().count());
        format!("memory={memory} journal={lines}")
    }
}

/// The kernel's identity since its start.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Witness;

    #[test]
    fn a_witness_agrees_only_with_its_last_count() {
        let mut witness = Witness::new(64);
        witness.mark(1);
        witness.mark(2);
        assert_eq!(witness.report(2), "memory=ok journal=2");
        assert_eq!(witness.report(1), "memory=8-words-wrong journal=2");
        std::fs::remove_file(&witness.journal).unwrap();
    }
}
