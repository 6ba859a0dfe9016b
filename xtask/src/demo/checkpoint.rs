// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job: a program inside an unmodified Linux checkpoints its whole computer, and the
//! computer is restored.
//!
//! The evidence comes from the guest itself: a counter in its memory, a file in its page cache, the
//! kernel's boot id. The second VM's own account says whether it was disturbed. The same scenario
//! is the boot test `main-job`.

use super::report::Report;
use crate::evidence::{Evidence, Returned, number_after};
use crate::image::{self, Scope};
use crate::live::{HEARTBEAT, Live};
use crate::operator::VmConsole;
use crate::paths;
use crate::qemu::Machine;
use anyhow::{Context, Result, bail};
use api::vmm::{Reply, Request};
use std::time::Instant;

/// The VM that is checkpointed.
const VM: &str = "linux";
/// Counts between the checkpoint and the restore, so that there is something to take back.
const COUNTS_BETWEEN: u64 = 5;

/// Builds, boots and plays it with the story told.
pub fn run(verbose: bool) -> Result<Report> {
    let iso = image::build(Scope::Everything)?;
    let folder = paths::in_target("demo/checkpoint");
    println!(
        "A machine with 4 CPUs and 2 GiB boots Understudy in the emulator (no hardware virtualization is used)."
    );
    let started = Instant::now();
    let live = Live::boot(Machine::default(), &iso, &folder.join("serial.log"), &folder, verbose)?;
    play(live, &|text| println!("{:8.1} s  {text}", started.elapsed().as_secs_f64()))
}

/// Plays it on a system that has just booted.
pub fn play(live: Live, tell: &dyn Fn(&str)) -> Result<Report> {
    Scene { live, guest: VmConsole::of(VM), tell }.play()
}

struct Scene<'a> {
    live: Live,
    guest: VmConsole,
    tell: &'a dyn Fn(&str),
}

impl Scene<'_> {
    fn tell(&self, text: &str) {
        (self.tell)(text);
    }

    fn play(mut self) -> Result<Report> {
        self.tell("The core runs; the root service has started the services and two VMs.");
        let kernel = self.wait("guest: kernel ")?;
        let release = kernel.trim_start_matches("guest: kernel ").to_owned();
        self.tell(&format!("VM `{VM}` runs Debian's kernel, unmodified: {release}"));
        let booted = self.wait("guest: boot_id ")?;
        let boot_id = booted.trim_start_matches("guest: boot_id ").trim().to_owned();
        let before = self.live.beat_after(0)?;
        self.tell(&format!("VM `{HEARTBEAT}` beats beside it; missed so far: {}.", before.missed));
        let counting = self.wait("checkpointer: counter 3")?;
        let counting = counting.trim_start_matches("checkpointer: ");
        self.tell(&format!("An unprivileged program in `{VM}` counts seconds: {counting}"));

        self.tell("That program is told to checkpoint its computer: one VMMCALL with its token.");
        self.guest.write(&mut self.live.operator, "tell checkpoint\n")?;
        let created = self.returned()?;
        if created.what != "created" {
            bail!("the guest says: {}", created.line);
        }
        let (pause_ticks, tsc_khz) = (self.last_pause()?, self.live.tsc_khz()?);
        self.tell(&format!(
            "The call returned: created, checkpoint {}, counter {}.",
            created.id, created.counter
        ));
        self.tell(&format!(
            "The computer stood still for {:.1} ms of emulated time; its memory is copied behind its back.",
            pause_ticks as f64 / tsc_khz.max(1) as f64
        ));
        let later = created.counter + COUNTS_BETWEEN;
        self.wait(&format!("checkpointer: counter {later}"))?;
        self.tell(&format!("The program went on; its counter is at {later}."));

        self.tell(&format!("The operator restores checkpoint {} in place.", created.id));
        self.restore(created.id)?;
        let restored = self.returned()?;
        self.tell(&format!(
            "The same call returned once more: {}, counter {}.",
            restored.what, restored.counter
        ));
        let line = self.wait("checkpointer: counter ")?;
        let next = number_after(&line, "counter ").unwrap_or(0);
        self.tell(&format!("The program goes on from there; its counter is at {next}."));
        let other = self.live.beat_after(before.beat)?;
        self.tell(&format!("VM `{HEARTBEAT}`: beat {}, missed {}.", other.beat, other.missed));
        Ok(Evidence { release, boot_id, created, restored, later, next, before, other, pause_ticks, tsc_khz }
            .report())
    }

    fn wait(&mut self, pattern: &str) -> Result<String> {
        self.live.wait_guest(&mut self.guest, pattern)
    }

    /// What the guest program says when its call returns.
    fn returned(&mut self) -> Result<Returned> {
        let line = self.wait("checkpointer: checkpoint ")?;
        Returned::parse(&line).with_context(|| format!("no evidence in: {line}"))
    }

    fn last_pause(&mut self) -> Result<u64> {
        match self.live.operator.ask_vm(VM, Request::Status)? {
            Reply::Status(status) => Ok(status.last_pause_ticks),
            other => bail!("{VM}: {other:?}"),
        }
    }

    /// A checkpoint that is still being copied is restored as soon as it is complete.
    fn restore(&mut self, id: u64) -> Result<()> {
        self.live.wait("the restore is done", |live| {
            match live.operator.ask_vm(VM, Request::Restore { id })? {
                Reply::Done => Ok(Some(())),
                Reply::Refused(reason) if reason.to_lowercase().contains("busy") => Ok(None),
                other => bail!("the restore was not done: {other:?}"),
            }
        })
    }
}
