// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job: a program inside an unmodified Linux checkpoints its whole computer, and the computer is restored.
//!
//! The evidence comes from the guest itself: a counter in its memory, a file in its page cache, the kernel's boot id. The
//! second VM's own account says whether it was disturbed.

use super::Report;
use super::evidence::{Beat, Evidence, Returned, number_after};
use crate::image::{self, Scope};
use crate::operator::{Line, Operator, VmConsole};
use crate::paths;
use crate::qemu::{Event, Machine, Running};
use anyhow::{Context, Result, bail};
use api::vmm;
use std::time::{Duration, Instant};

/// The VM that is checkpointed.
const VM: &str = "linux";
/// The VM that must not notice.
const OTHER: &str = "heartbeat";
/// Counts between the checkpoint and the restore, so that there is something to take back.
const COUNTS_BETWEEN: u64 = 5;
/// Time limit of one step. Generous: everything is emulated, and the machine may be busy.
const STEP: Duration = Duration::from_secs(180);

/// The scenario while it runs.
struct Scene {
    running: Running,
    operator: Operator,
    guest: VmConsole,
    started: Instant,
    verbose: bool,
    pauses: Vec<u64>,
}

/// Runs the scenario.
pub fn run(verbose: bool) -> Result<Report> {
    let iso = image::build(Scope::Everything)?;
    let folder = paths::in_target("demo/checkpoint");
    let line = Line::prepare(&folder)?;
    let machine =
        Machine { options: line.option(), operator_socket: Some(line.socket.clone()), ..Machine::default() };
    println!(
        "A machine with 4 CPUs and 2 GiB boots Understudy in the emulator (no hardware virtualization is used)."
    );
    let mut running = machine.start(&iso, &folder.join("serial.log"))?;
    let started = Instant::now();
    let operator = connect(&mut running, &line, verbose)?;
    let scene = Scene { running, operator, guest: VmConsole::of(VM), started, verbose, pauses: Vec::new() };
    scene.play()
}

/// The operator's session; the machine's end while it is waited for ends the scenario.
fn connect(running: &mut Running, line: &Line, verbose: bool) -> Result<Operator> {
    let deadline = Instant::now() + STEP;
    loop {
        match running.next(Instant::now() + Duration::from_millis(300))? {
            Event::Line(text) if verbose => println!("           | {text}"),
            Event::Ended(status) => {
                bail!("the machine ended ({status}); see {}", paths::shown(running.log()))
            }
            Event::Line(_) => {}
            Event::TimedOut => {
                if let Ok(operator) = line.connect(Duration::ZERO) {
                    return Ok(operator);
                }
                if Instant::now() > deadline {
                    bail!("the operator service does not answer; see {}", paths::shown(running.log()));
                }
            }
        }
    }
}

impl Scene {
    fn tell(&self, text: &str) {
        println!("{:8.1} s  {text}", self.started.elapsed().as_secs_f64());
    }

    fn play(mut self) -> Result<Report> {
        self.tell("The core runs; the root service has started the services and two VMs.");
        let kernel = self.wait_guest("guest: kernel ")?;
        let release = kernel.trim_start_matches("guest: kernel ").to_owned();
        self.tell(&format!("VM `{VM}` runs Debian's kernel, unmodified: {release}"));
        let booted = self.wait_guest("guest: boot_id ")?;
        let boot_id = booted.trim_start_matches("guest: boot_id ").trim().to_owned();
        let before = self.other_after(0)?;
        self.tell(&format!("VM `{OTHER}` beats beside it; missed so far: {}.", before.missed));
        let counting = self.wait_guest("checkpointer: counter 3")?;
        self.tell(&format!(
            "An unprivileged program in `{VM}` counts seconds: {}",
            counting.trim_start_matches("checkpointer: ")
        ));

        self.tell("That program is told to checkpoint its computer: one VMMCALL with its token.");
        self.guest.write(&mut self.operator, "tell checkpoint\n")?;
        let created = self.returned()?;
        if created.what != "created" {
            bail!("the guest says: {}", created.line);
        }
        self.tell(&format!(
            "The call returned: created, checkpoint {}, counter {}.",
            created.id, created.counter
        ));
        let later = created.counter + COUNTS_BETWEEN;
        self.wait_guest(&format!("checkpointer: counter {later}"))?;
        self.tell(&format!("The program went on; its counter is at {later}."));

        self.tell(&format!("The operator restores checkpoint {} in place.", created.id));
        self.restore(created.id)?;
        let restored = self.returned()?;
        self.tell(&format!(
            "The same call returned once more: {}, counter {}.",
            restored.what, restored.counter
        ));
        let line = self.wait_guest("checkpointer: counter ")?;
        let next = number_after(&line, "counter ").unwrap_or(0);
        self.tell(&format!("The program goes on from there; its counter is at {next}."));
        let other = self.other_after(before.beat)?;
        self.tell(&format!("VM `{OTHER}`: beat {}, missed {}.", other.beat, other.missed));
        self.watch_machine()?;
        let pause_ticks = self.pauses.first().copied();
        Ok(Evidence { release, boot_id, created, restored, later, next, before, other, pause_ticks }.report())
    }

    /// What the guest program says when its call returns.
    fn returned(&mut self) -> Result<Returned> {
        let line = self.wait_guest("checkpointer: checkpoint ")?;
        Returned::parse(&line).with_context(|| format!("no evidence in: {line}"))
    }

    fn restore(&mut self, id: u64) -> Result<()> {
        match self.operator.ask_vm(VM, vmm::Request::Restore { id })? {
            vmm::Reply::Done => Ok(()),
            other => bail!("the restore was not done: {other:?}"),
        }
    }

    /// Waits for a line of the guest that contains `pattern`.
    fn wait_guest(&mut self, pattern: &str) -> Result<String> {
        let deadline = Instant::now() + STEP;
        loop {
            self.watch_machine()?;
            match self.guest.next_line(&mut self.operator)? {
                Some(line) => {
                    if self.verbose {
                        println!("     {VM} | {line}");
                    }
                    if line.contains(pattern) {
                        return Ok(line);
                    }
                }
                None if Instant::now() > deadline => {
                    bail!("the guest did not say `{pattern}` within {} s", STEP.as_secs())
                }
                None => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// What the other VM says of itself once it has come beyond beat number `beat`.
    fn other_after(&mut self, beat: u64) -> Result<Beat> {
        let deadline = Instant::now() + STEP;
        let mut console = VmConsole::of(OTHER);
        loop {
            let mut last = None;
            while let Some(line) = console.next_line(&mut self.operator)? {
                last = Beat::parse(&line).or(last);
            }
            match last {
                Some(last) if last.beat > beat => return Ok(last),
                _ if Instant::now() > deadline => bail!("`{OTHER}` does not beat"),
                _ => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Reads what the machine's own console said meanwhile.
    fn watch_machine(&mut self) -> Result<()> {
        loop {
            match self.running.next(Instant::now())? {
                Event::Line(line) => {
                    if let Some(ticks) = number_after(&line, "pause_ticks=") {
                        self.pauses.push(ticks);
                    }
                    if self.verbose {
                        println!("           | {line}");
                    }
                }
                Event::Ended(status) => {
                    bail!("the machine ended ({status}); see {}", paths::shown(self.running.log()))
                }
                Event::TimedOut => return Ok(()),
            }
        }
    }
}
