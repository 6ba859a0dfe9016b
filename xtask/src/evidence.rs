// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence that guests give in their own words, and the judgement on it.

use crate::demo::report::Report;
use serde_json::json;

/// What the guest program prints when its call returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// "created" or "restored".
    pub what: String,
    /// The checkpoint.
    pub id: u64,
    /// The counter in its memory.
    pub counter: u64,
    /// Whether a megabyte of its memory agrees with the counter.
    pub memory_ok: bool,
    /// The counter in its file.
    pub journal: u64,
    /// How long the call took by the guest's clock.
    pub microseconds: u64,
    /// The kernel's identity since its boot.
    pub boot_id: String,
    /// The whole line.
    pub line: String,
}

impl Returned {
    /// Reads `checkpointer: checkpoint created id=1 counter=5 memory=ok journal=5 us=840 pid=57
    /// boot_id=...`.
    pub fn parse(line: &str) -> Option<Returned> {
        let words = line.split("checkpointer: checkpoint ").nth(1)?;
        let value =
            |name: &str| words.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| value(name)?.parse().ok();
        Some(Returned {
            what: words.split_whitespace().next()?.to_owned(),
            id: number("id")?,
            counter: number("counter")?,
            memory_ok: value("memory") == Some("ok"),
            journal: number("journal")?,
            microseconds: number("us").unwrap_or(0),
            boot_id: value("boot_id")?.to_owned(),
            line: line.to_owned(),
        })
    }
}

/// What the heartbeat guest prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Number of the beat.
    pub beat: u64,
    /// Times that two beats were too far apart.
    pub missed: u64,
    /// Longest time between two.
    pub max_gap_us: u64,
}

impl Beat {
    /// Reads `beat 10 missed 0 max_gap_us 100123`.
    pub fn parse(line: &str) -> Option<Beat> {
        Some(Beat {
            beat: number_after(line, "beat ")?,
            missed: number_after(line, "missed ")?,
            max_gap_us: number_after(line, "max_gap_us ").unwrap_or(0),
        })
    }
}

/// What the guest `tick` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Time is what it must be.
    Count(Ticks),
    /// It is not; the line.
    Wrong(String),
}

/// The gaps between readings of the time that the guest `tick` has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Number of the line.
    pub count: u64,
    /// The longest since the start, in ticks of the TSC.
    pub largest_gap_ticks: u64,
    /// Ticks per millisecond, as the guest's clock says.
    pub khz: u64,
    /// The longest since the start in nanoseconds of system time.
    pub largest_gap_ns: u64,
    /// The longest since the line before.
    pub recent_gap_ticks: u64,
}

impl Tick {
    /// Reads `tick: count 4 largest_gap_ticks 70123 khz 1000000 largest_gap_ns 70123
    /// recent_gap_ticks 512`, and complaints like `tick: TSC WENT BACK by 7 ticks`; `None` for any
    /// other line.
    pub fn parse(line: &str) -> Option<Tick> {
        let words = line.split("tick: ").nth(1)?;
        if words.starts_with("TSC WENT BACK") || words.starts_with("CLOCK JUMPED") {
            return Some(Tick::Wrong(words.to_owned()));
        }
        Some(Tick::Count(Ticks {
            count: number_after(words, "count ")?,
            largest_gap_ticks: number_after(words, "largest_gap_ticks ")?,
            khz: number_after(words, "khz ")?,
            largest_gap_ns: number_after(words, "largest_gap_ns ")?,
            recent_gap_ticks: number_after(words, "recent_gap_ticks ")?,
        }))
    }
}

/// What the workload of the Linux guest prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// A round in which nothing was wrong.
    Well {
        /// Number of the round.
        round: u64,
        /// CPUs that it works on.
        cpus: u64,
        /// Passes of all workers together.
        passes: u64,
        /// How late the latest round was so far, by the guest's clock.
        late_ms: u64,
    },
    /// What was wrong.
    Failed(String),
}

impl Round {
    /// Reads `workload: round 7 ok cpus 2 passes 912 late_ms 3` and `workload: FAILED what`; `None`
    /// for any other line.
    pub fn parse(line: &str) -> Option<Round> {
        let words = line.split("workload: ").nth(1)?;
        if let Some(what) = words.strip_prefix("FAILED ") {
            return Some(Round::Failed(what.trim_end().to_owned()));
        }
        Some(Round::Well {
            round: number_after(words, "round ")?,
            cpus: number_after(words, " ok cpus ")?,
            passes: number_after(words, " passes ")?,
            late_ms: number_after(words, " late_ms ")?,
        })
    }
}

/// The number that follows a word.
pub fn number_after(line: &str, word: &str) -> Option<u64> {
    let after = line.split(word).nth(1)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The promise to the other VM.
pub const NO_BEAT_MISSED: &str = "the other VM missed no beat";

/// Everything that was seen.
pub struct Evidence {
    /// Name and version of the guest's kernel.
    pub release: String,
    /// The guest's identity when it had booted.
    pub boot_id: String,
    /// The call's first return.
    pub created: Returned,
    /// The call's second return.
    pub restored: Returned,
    /// The counter just before the restore.
    pub later: u64,
    /// The first counter after it.
    pub next: u64,
    /// The other VM at the start.
    pub before: Beat,
    /// The other VM at the end.
    pub other: Beat,
    /// The pause as the VMM measured it, in ticks of the TSC.
    pub pause_ticks: u64,
    /// The TSC's ticks per millisecond.
    pub tsc_khz: u64,
}

impl Evidence {
    /// The report, with what does not hold.
    pub fn report(self) -> Report {
        let (created, restored) = (&self.created, &self.restored);
        let returned_twice =
            created.what == "created" && restored.what == "restored" && created.id == restored.id;
        let unchanged = self.boot_id == created.boot_id && created.boot_id == restored.boot_id;
        let counter_ok = restored.counter == created.counter && self.next == restored.counter + 1;
        let memory_ok = restored.memory_ok && restored.journal == restored.counter;
        let missed = self.other.missed - self.before.missed.min(self.other.missed);
        let promises = [
            (returned_twice, "the call returns twice, with one id"),
            (unchanged, "the boot id is unchanged"),
            (counter_ok, "the counter continues from the checkpoint's value"),
            (memory_ok, "memory and page cache are those of the checkpoint"),
            (missed == 0, NO_BEAT_MISSED),
        ];
        let broken = promises.iter().filter(|(held, _)| !held).map(|(_, what)| (*what).to_owned()).collect();
        let values = json!({
            "guest_kernel": self.release,
            "checkpoint_id": created.id,
            "returned_twice": returned_twice,
            "boot_id_before": created.boot_id,
            "boot_id_after": restored.boot_id,
            "boot_id_unchanged": unchanged,
            "counter_at_checkpoint": created.counter,
            "counter_before_restore": self.later,
            "counter_after_restore": self.next,
            "memory_ok": memory_ok,
            "pause_ticks": self.pause_ticks,
            "pause_microseconds": self.pause_ticks * 1000 / self.tsc_khz.max(1),
            "call_microseconds": created.microseconds,
            "other_vm_beats": self.other.beat - self.before.beat.min(self.other.beat),
            "other_vm_missed_beats": missed,
            "other_vm_max_gap_us": self.other.max_gap_us,
        });
        Report { values, broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(what: &str) -> Returned {
        let line = format!(
            "checkpointer: checkpoint {what} id=1 counter=5 memory=ok journal=5 us=840 pid=57 boot_id=2f9c"
        );
        Returned::parse(&line).expect("readable")
    }

    fn evidence() -> Evidence {
        Evidence {
            release: "6.1.0-56-amd64".into(),
            boot_id: "2f9c".into(),
            created: returned("created"),
            restored: returned("restored"),
            later: 10,
            next: 6,
            before: Beat::parse("beat 3 missed 0 max_gap_us 100001").expect("readable"),
            other: Beat::parse("beat 90 missed 0 max_gap_us 100020").expect("readable"),
            pause_ticks: 50_000,
            tsc_khz: 2_600_000,
        }
    }

    #[test]
    fn gaps_are_read_and_complaints_are_told_apart() {
        let line = "tick: count 4 largest_gap_ticks 70 khz 1000 largest_gap_ns 71 recent_gap_ticks 5\r";
        let ticks =
            Ticks { count: 4, largest_gap_ticks: 70, khz: 1000, largest_gap_ns: 71, recent_gap_ticks: 5 };
        assert_eq!(Tick::parse(line), Some(Tick::Count(ticks)));
        for wrong in ["TSC WENT BACK by 7 ticks", "CLOCK JUMPED by 9 ns"] {
            assert_eq!(Tick::parse(&format!("tick: {wrong}")), Some(Tick::Wrong(wrong.into())));
        }
        for other in ["tick: 32768 KiB, 1000000 kHz", "tick: count 4 largest_gap", "beat 1 missed 0"] {
            assert_eq!(Tick::parse(other), None);
        }
    }

    #[test]
    fn rounds_are_read_and_failures_are_told_apart() {
        let line = "workload: round 7 ok cpus 2 passes 912 late_ms 3\r";
        let well = Round::Well { round: 7, cpus: 2, passes: 912, late_ms: 3 };
        assert_eq!(Round::parse(line), Some(well));
        let failed = Round::parse("workload: FAILED hash 1: word 3 is 0x0\r");
        assert_eq!(failed, Some(Round::Failed("hash 1: word 3 is 0x0".into())));
        assert_eq!(Round::parse("workload: round 7 o"), None);
        assert_eq!(Round::parse("guest: ready"), None);
    }

    #[test]
    fn good_evidence_breaks_nothing() {
        assert!(evidence().report().broken.is_empty());
    }

    #[test]
    fn each_flaw_is_named() {
        let flawed = [
            Evidence { boot_id: "other".into(), ..evidence() },
            Evidence { next: 11, ..evidence() },
            Evidence { restored: returned("created"), ..evidence() },
            Evidence { restored: Returned { memory_ok: false, ..returned("restored") }, ..evidence() },
            Evidence { other: Beat { missed: 1, ..evidence().other }, ..evidence() },
        ];
        for evidence in flawed {
            assert_eq!(evidence.report().broken.len(), 1);
        }
    }
}
