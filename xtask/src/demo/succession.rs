// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second hypervisor is started beside the first, takes over its running VMs, and the first
//! leaves; then back again.
//!
//! Three guests run throughout: a Linux whose workload checks itself, a unikernel that does nothing
//! but read the TSC, and the heartbeat.

use super::report::Report;
use crate::bench;
use crate::evidence::{Beat, Round, Tick, Ticks};
use crate::image::successor::{FIRST, NEXT};
use crate::image::{self, Scope, successor};
use crate::live::Live;
use crate::operator::VmConsole;
use crate::paths;
use crate::qemu::{Machine, System};
use crate::succession::{self, Done};
use anyhow::{Context, Result};
use api::root::Inventory;
use api::succession::{Blackout, Holding};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// The system, of `tests/manifests`.
const SYSTEM: &str = "succession";
/// The system of which instructions are counted: under that Linux takes too long.
const COUNTED: &str = "bench-succession-4-vms";
/// Rounds of the workload, and lines of the watcher, that have to go well between two successions.
const ROUNDS: u64 = 5;

/// What the guests say of themselves.
struct Witnesses {
    linux: VmConsole,
    tick: VmConsole,
    round: u64,
    ticks: Ticks,
    complaints: Vec<String>,
}

impl Witnesses {
    fn new() -> Witnesses {
        Witnesses {
            linux: VmConsole::of("linux"),
            tick: VmConsole::of("tick"),
            round: 0,
            ticks: Ticks::default(),
            complaints: Vec::new(),
        }
    }

    /// Waits until both have gone on for a while.
    fn go_on(&mut self, live: &mut Live) -> Result<()> {
        self.look(live)?;
        let (round, count) = (self.round + ROUNDS, self.ticks.count + ROUNDS);
        live.wait("the guests go on", |live| {
            self.look(live)?;
            let done = self.round >= round && self.ticks.count >= count || !self.complaints.is_empty();
            Ok(done.then_some(()))
        })
    }

    /// Reads what they have said.
    fn look(&mut self, live: &mut Live) -> Result<()> {
        while let Some(line) = self.linux.next_line(&mut live.operator)? {
            match Round::parse(&line) {
                Some(Round::Well { round, .. }) => self.round = round,
                Some(Round::Failed(what)) => self.complaints.push(format!("linux: {what}")),
                None => {}
            }
        }
        while let Some(line) = self.tick.next_line(&mut live.operator)? {
            match Tick::parse(&line) {
                Some(Tick::Count(ticks)) => self.ticks = ticks,
                Some(Tick::Wrong(what)) => self.complaints.push(format!("tick: {what}")),
                None => {}
            }
        }
        Ok(())
    }
}

/// What was seen.
struct Played {
    there: Done,
    back: Done,
    /// The machine before, between the two, and after.
    machines: [Inventory; 3],
    witnesses: Witnesses,
    beat: Beat,
}

/// Builds, boots and plays it with the story told.
pub fn run(verbose: bool) -> Result<Report> {
    let iso = image::build(Scope::Everything)?;
    let (next, first) = (successor::bytes(NEXT, SYSTEM)?, successor::bytes(FIRST, SYSTEM)?);
    let folder = paths::in_target("demo/succession");
    println!("A machine with 4 CPUs and 2 GiB boots Understudy {FIRST} in the emulator.");
    let machine = Machine { system: System::Named(SYSTEM), ..Machine::default() };
    let live = Live::boot(machine, &iso, &folder.join("serial.log"), &folder, verbose)?;
    let started = Instant::now();
    let say = |text: &str| println!("{:8.1} s  {text}", started.elapsed().as_secs_f64());
    let played = play(live, &next, &first, &say)?;
    say("once more on a machine whose instructions are counted, with four unikernels");
    let counted = bench::succession::count(&iso, COUNTED, 2)?;
    Ok(judge(&played, &counted))
}

fn play(mut live: Live, next: &[u8], first: &[u8], say: &dyn Fn(&str)) -> Result<Played> {
    live.wait_line("root: ready")?;
    let mut witnesses = Witnesses::new();
    let mut go_on = |live: &mut Live| -> Result<Inventory> {
        witnesses.go_on(live)?;
        say(&format!("the guests work: round {}, {:?}", witnesses.round, witnesses.ticks));
        succession::inventory(live)
    };
    let before = go_on(&mut live)?;
    let there = succession::succeed(&mut live, next, NEXT, say).context("to the next version")?;
    let between = go_on(&mut live)?;
    let back = succession::succeed(&mut live, first, FIRST, say).context("back to the first version")?;
    let after = go_on(&mut live)?;
    let beat = live.beat_after(0)?;
    Ok(Played { there, back, machines: [before, between, after], witnesses, beat })
}

fn judge(played: &Played, counted: &[Done]) -> Report {
    let Played { there, back, machines, witnesses, beat } = played;
    let copied = moved_bytes(&there.resources, &back.resources);
    let inventory_equal = machines.iter().all(|machine| succession::is_same_machine(&machines[0], machine));
    let workload_ok = witnesses.complaints.is_empty();
    let values = json!({
        "version_before": FIRST,
        "version_after": there.version,
        "downgrade_ok": back.version == FIRST,
        "inventory_equal": inventory_equal,
        "inventory": machines.each_ref().map(machine_of),
        "blackout_instructions": percentiles(counted),
        "blackout_instructions_of": COUNTED,
        "blackout_ticks": percentiles([there, back]),
        "blackouts": [table(&there.blackouts), table(&back.blackouts)],
        "blackouts_counted": counted.iter().map(|done| table(&done.blackouts)).collect::<Value>(),
        "guest_largest_tsc_gap": witnesses.ticks.largest_gap_ticks,
        "guest_tsc_khz": witnesses.ticks.khz,
        "guest_memory_bytes_copied": copied,
        "workload_ok": workload_ok,
        "workload_rounds": witnesses.round,
        "complaints": witnesses.complaints,
        "heartbeat": { "beat": beat.beat, "missed": beat.missed, "max_gap_us": beat.max_gap_us },
        "successions": back.generation,
    });
    let held = [
        ("the second version took over", there.version == NEXT),
        ("the first version took over again", back.version == FIRST),
        ("the machine is the same", inventory_equal),
        ("the guests noticed nothing", workload_ok),
        ("no guest memory was copied", copied == 0),
    ];
    let broken = held.iter().filter(|(_, holds)| !holds).map(|(what, _)| (*what).to_owned()).collect();
    Report { values, broken }
}

fn machine_of(inventory: &Inventory) -> Value {
    json!({ "apic_ids": inventory.apic_ids, "memory_bytes": inventory.memory_bytes, "tsc_khz": inventory.tsc_khz })
}

/// Bytes of VMs' memory that lie elsewhere in the second list than in the first: what has not moved
/// was not copied.
fn moved_bytes(first: &[Holding], second: &[Holding]) -> u64 {
    let of_vms = |holdings: &[Holding]| {
        let of_vm = |holding: &&Holding| holding.name.ends_with("(VM)");
        holdings
            .iter()
            .filter(of_vm)
            .map(|holding| (holding.name.clone(), holding.bytes))
            .collect::<BTreeSet<_>>()
    };
    let before = of_vms(first);
    of_vms(second).difference(&before).map(|(_, bytes)| bytes).sum()
}

fn table(blackouts: &[Blackout]) -> Value {
    let row = |b: &Blackout| json!({ "vm": b.vm, "vcpu": b.vcpu, "ticks": b.ticks });
    blackouts.iter().map(row).collect()
}

fn percentiles<'a>(successions: impl IntoIterator<Item = &'a Done>) -> Value {
    let blackouts = successions.into_iter().flat_map(|done| &done.blackouts);
    let mut ticks: Vec<u64> = blackouts.map(|blackout| blackout.ticks).collect();
    ticks.sort_unstable();
    let at =
        |percent: usize| ticks.get((ticks.len() * percent / 100).min(ticks.len().saturating_sub(1))).copied();
    json!({ "p50": at(50), "p99": at(99), "max": ticks.last() })
}
