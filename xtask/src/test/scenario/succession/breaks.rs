// SPDX-License-Identifier: MIT OR Apache-2.0
//! The core of one hypervisor breaks in the middle of a succession: it finds itself executing what
//! it never should.
//!
//! Nothing in the hypervisor can be told to break its core, so it is done from outside: the entries
//! of its interrupts become undefined instructions. Its CPUs end at the next interrupt, each with
//! the core's last words.

use super::{Images, other, same_machine, small_on, start_anew, undisturbed};
use crate::gdb::{self, Debugger};
use crate::image::successor::{FIRST, NEXT};
use crate::live::{HEARTBEAT, Live};
use crate::qemu::Machine;
use crate::qmp::{self, Monitor};
use crate::succession;
use anyhow::{Context, Result, bail, ensure};
use api::vmm::{self, State};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Undefined by definition (UD2).
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];
/// First vector of an interrupt.
const INTERRUPTS: u64 = 32;
const VECTORS: u64 = 256;
/// What a core says that has found itself at fault: an undefined instruction where the interrupt
/// came in the core, a double fault where it came in a program or guest, whose GS base the entry
/// did not get to exchange.
const LAST_WORDS: [&str; 2] = ["core: exception 6 on CPU", "core: exception 8 on CPU"];
/// Where the console of a successor's core ends, in the folder of the run.
const SPARE_CONSOLE: &str = "operator.spare.log";
const GATE_BYTES: u64 = 16;
/// Time limit.
const LIMIT: Duration = Duration::from_secs(900);

/// The successor stands by with the VM: the incumbent's core breaks, the VM runs on, and the
/// successor owns the machine.
pub fn of_the_incumbent(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live, sockets) = standing_by(machine, iso, log)?;
    let before = live.beat_after(0)?;
    live.pass_over_lines()?;
    break_core(&sockets, 0)?;
    let line = live.wait_line("core: exception")?;
    ensure!(are_last_words(&line), "{line}");
    live.beat_after(before.beat + 3).context("beside a hypervisor that is broken")?;
    ends_at(&mut live, NEXT)?;
    // It would have stood still until that was noticed, for longer than other machines on the host
    // can keep it waiting.
    undisturbed(&mut live, before)?;
    goes_on(&mut live, &images, NEXT)
}

/// The same with the successor's: the incumbent, which is ready to leave, owns the machine again.
/// The VM is lost, and starts anew.
pub fn of_the_successor(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live, sockets) = standing_by(machine, iso, log)?;
    break_core(&sockets, 1)?;
    let console = log.with_extension("run").join(SPARE_CONSOLE);
    let said = |_: &mut Live| Ok(are_last_words(&std::fs::read_to_string(&console)?).then_some(()));
    live.wait("the last words of the successor's core", said)?;
    ends_at(&mut live, FIRST)?;
    match succession::ask_vm_patiently(&mut live, HEARTBEAT, &vmm::Request::Status)? {
        vmm::Reply::Status(vmm::Status { state: State::Failed(_), .. }) => {}
        other => bail!("the VM is {other:?}"),
    }
    start_anew(&mut live)?;
    goes_on(&mut live, &images, FIRST)
}

/// The sockets by which the machine is reached from outside.
struct Sockets {
    monitor: std::path::PathBuf,
    debugger: std::path::PathBuf,
}

/// CPU 0 is the incumbent's, CPU 1 and everything else the successor's.
fn standing_by(machine: &Machine, iso: &Path, log: &Path) -> Result<(Images, Live, Sockets)> {
    let mut machine = machine.clone();
    let sockets =
        Sockets { monitor: qmp::socket_for(&mut machine, log), debugger: gdb::socket_for(&mut machine, log) };
    let (images, mut live) = small_on(2, &machine, iso, log)?;
    live.allow(LIMIT);
    succession::stand_by(&mut live, &images.next, NEXT, &|_| {})?;
    Ok((images, live, sockets))
}

/// Overwrites the entries of all interrupts of the core that a CPU is in.
fn break_core(sockets: &Sockets, cpu: usize) -> Result<()> {
    let registers = Monitor::open(&sockets.monitor)?.human("info registers -a")?;
    let table = interrupt_table(&registers, cpu).context("where its interrupts are entered")?;
    let mut debugger = Debugger::stop(&sockets.debugger, cpu)?;
    let mut entries = BTreeSet::new();
    for vector in INTERRUPTS..VECTORS {
        let gate: [u8; GATE_BYTES as usize] = debugger.read(table + vector * GATE_BYTES)?;
        let [a, b, _, _, _, _, c, d, e, f, g, h, ..] = gate;
        entries.insert(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
    ensure!(!entries.contains(&0), "an interrupt without an entry");
    for entry in entries {
        debugger.write(entry, &UNDEFINED)?;
    }
    debugger.go_on()
}

fn are_last_words(text: &str) -> bool {
    LAST_WORDS.iter().any(|words| text.contains(words))
}

/// The base of a CPU's interrupt descriptor table.
fn interrupt_table(registers: &str, cpu: usize) -> Option<u64> {
    let line = registers.lines().filter_map(|line| line.strip_prefix("IDT=")).nth(cpu)?;
    u64::from_str_radix(line.split_whitespace().next()?, 16).ok()
}

fn ends_at(live: &mut Live, survivor: &str) -> Result<()> {
    let end = succession::to_the_end(live)?;
    ensure!(end == survivor, "{end} owns the machine");
    Ok(())
}

/// The machine is whole: a new succession succeeds, under a VM that beats.
fn goes_on(live: &mut Live, images: &Images, here: &str) -> Result<()> {
    let whole = succession::inventory(live)?;
    let beat = live.beat_after(0)?;
    let (image, version) = other(images, here);
    succession::succeed(live, image, version, &|_| {}).context("the succession after it")?;
    same_machine(&whole, &succession::inventory(live)?)?;
    live.beat_after(beat.beat + 2).map(drop)
}
