// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints change owner with everything else: up, down, back, and whatever stops on the way.

use super::circumstances::{beats, hindered};
use super::stops::all_stop;
use super::{Images, give_up, other, same_machine, small_of, start_anew};
use crate::evidence::Beat;
use crate::image::successor::{FIRST, NEXT};
use crate::live::{HEARTBEAT, Live};
use crate::operator::VmConsole;
use crate::qemu::Machine;
use crate::succession;
use crate::test::scenario::checkpoints::{create, restore};
use anyhow::{Context, Result, bail, ensure};
use api::checkpoint::{self, Info, Stage};
use api::operator::{Reply as Answer, Request as Question};
use api::succession::{Fault, Plan, Request};
use std::path::Path;
use std::time::Duration;

/// The small system with a checkpoint service.
const SYSTEM: &str = "succession-checkpoints";
/// Beats of the VM between a checkpoint and its restore: more than it makes during either.
const LATER: u64 = 10;
/// Time limit of many successions.
const CAMPAIGN: Duration = Duration::from_secs(2400);

/// The same checkpoints are there after a succession up, after one down and after one that was
/// given up, and each time they are restored; new ones are made wherever the VM is.
pub fn move_with_the_store(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let (images, mut live) = small_of(SYSTEM, 3, machine, iso, log)?;
    let before = succession::inventory(&mut live)?;
    let (beat, first) = made(&mut live)?;
    let second = create(&mut live, HEARTBEAT)?;
    let there = list(&mut live)?;
    for (image, version) in [(&images.next, NEXT), (&images.first, FIRST)] {
        let done = succession::succeed(&mut live, image, version, &|_| {})
            .with_context(|| format!("to {version}"))?;
        let store = done.resources.iter().find(|holding| holding.name.contains("(checkpoints)"));
        ensure!(store.is_some_and(|store| store.mine && store.bytes > 0), "the store: {store:?}");
        same_machine(&before, &succession::inventory(&mut live)?)?;
        unchanged(&mut live, &there).with_context(|| format!("at {version}"))?;
        goes_back(&mut live, first, beat).with_context(|| format!("at {version}"))?;
    }
    let third = create(&mut live, HEARTBEAT)?;
    ensure!(third > second, "checkpoint {third} came after {second}");
    let there = list(&mut live)?;
    give_up(&mut live, &images)?;
    unchanged(&mut live, &there).context("after it was given up")?;
    goes_back(&mut live, first, beat).context("after it was given up")?;
    succession::succeed(&mut live, &images.next, NEXT, &|_| {}).context("after it was given up")?;
    unchanged(&mut live, &there)?;
    goes_back(&mut live, first, beat)
}

/// An image that has no place for checkpoints is refused as long as there are any. Then it takes
/// the memory of the store as any other.
pub fn without_a_place(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    const OBSTACLE: &str = "no place for checkpoints";
    let (_, mut live) = small_of(SYSTEM, 3, machine, iso, log)?;
    let before = succession::inventory(&mut live)?;
    let id = create(&mut live, HEARTBEAT)?;
    let images = Images::of(super::SMALL)?;
    succession::stage(&mut live, &images.next)?;
    hindered(&mut live, OBSTACLE)?;
    let reply = live.operator.ask_checkpoint(checkpoint::Request::Remove { id })?;
    ensure!(reply == checkpoint::Reply::Done, "remove: {reply:?}");
    let Plan { obstacles, .. } = succession::plan(&mut live)?;
    ensure!(obstacles.is_empty(), "the checkpoint is gone: {obstacles:?}");
    give_up(&mut live, &images)?;
    create(&mut live, HEARTBEAT).context("after it was given up")?;
    remove_all(&mut live)?;
    for (image, version) in [(&images.next, NEXT), (&images.first, FIRST)] {
        succession::succeed(&mut live, image, version, &|_| {})?;
        same_machine(&before, &succession::inventory(&mut live)?)?;
    }
    beats(&mut live)
}

/// A service, or a whole hypervisor, stops around the moments at which the store changes owner: no
/// checkpoint is lost, and a VM that is can be restored.
pub fn outlive_stops(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut campaign = Campaign::begin(machine, iso, log)?;
    // The incumbent releases the store with action 9 and offers it with the next; the successor
    // takes it with 5 and uses it from 6 on.
    let incumbent = (9..=12).map(|action| (false, action, false));
    let successor = (5..=8).map(|action| (true, action, false));
    let all = [(false, 10, true), (false, 29, true), (true, 6, true), (true, 27, true)];
    for (successor, action, all) in incumbent.chain(successor).chain(all) {
        let came = campaign.stop(Fault { successor, action, all })?;
        ensure!(came, "there is no action {action}");
    }
    Ok(())
}

/// The same at every step of both services, and at every third at which there are two of both
/// hypervisors: of the incumbent's from the greeting on, of the successor's until the incumbent
/// could leave.
pub fn outlive_many_stops(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut campaign = Campaign::begin(machine, iso, log)?;
    for successor in [false, true] {
        for action in 0..46 {
            campaign.stop(Fault { successor, action, all: false })?;
        }
    }
    for (successor, first) in [(false, 10), (true, 7)] {
        for action in (first..).step_by(3) {
            if !campaign.stop(Fault { successor, action, all: true })? {
                break;
            }
        }
    }
    Ok(())
}

/// One machine with a checkpoint, stop after stop.
struct Campaign {
    live: Live,
    images: Images,
    here: String,
    there: Vec<Info>,
    beat: u64,
    id: u64,
}

impl Campaign {
    fn begin(machine: &Machine, iso: &Path, log: &Path) -> Result<Campaign> {
        let (images, mut live) = small_of(SYSTEM, 2, machine, iso, log)?;
        live.allow(CAMPAIGN);
        let (beat, id) = made(&mut live)?;
        let there = list(&mut live)?;
        Ok(Campaign { live, images, here: FIRST.to_owned(), there, beat, id })
    }

    /// The checkpoint is there after this, and serves. False where all of a hypervisor was to stop,
    /// and it was over before that.
    fn stop(&mut self, fault: Fault) -> Result<bool> {
        let what = format!("{fault:?}, from {}", self.here);
        self.one(fault).context(what)
    }

    fn one(&mut self, fault: Fault) -> Result<bool> {
        let Campaign { live, images, here, there, beat, id } = self;
        let mut came = true;
        if fault.all {
            came = all_stop(live, images, here, fault)?.is_some();
        } else {
            let (image, version) = other(images, here);
            succession::expect(live, Request::Fault(fault))?;
            succession::begin(live, image, version, &|_| {})?;
            succession::to_the_end(live)?;
        }
        *here = succession::status(live)?.version;
        unchanged(live, there)?;
        started(live)?;
        goes_back(live, *id, *beat)?;
        Ok(came)
    }
}

/// A VM whose state was lost is started anew.
fn started(live: &mut Live) -> Result<()> {
    use api::vmm::{Reply, Request, State, Status};
    match succession::ask_vm_patiently(live, HEARTBEAT, &Request::Status)? {
        Reply::Status(Status { state: State::Running, .. }) => Ok(()),
        Reply::Status(Status { state: State::Failed(_), .. }) => start_anew(live),
        other => bail!("the VM is {other:?}"),
    }
}

/// A checkpoint, and a beat that the VM had not come to then.
fn made(live: &mut Live) -> Result<(u64, u64)> {
    live.beat_after(2)?;
    let id = create(live, HEARTBEAT)?;
    let beat = live.beat_after(0)?.beat + 1;
    Ok((beat, id))
}

/// The VM goes on from a checkpoint at which it had not come to this beat.
fn goes_back(live: &mut Live, id: u64, beat: u64) -> Result<()> {
    // It may have been started anew, and be before it.
    live.beat_after(beat + LATER)?;
    let mut console = VmConsole::of(HEARTBEAT);
    live.pass_over_guest(&mut console, "")?;
    let mut last = next_beat(live, &mut console)?;
    restore(live, HEARTBEAT, id)?;
    // Beats go up until the restore. The first that does not is where it has led, however late it
    // is read.
    loop {
        let next = next_beat(live, &mut console)?;
        console.is_whole()?;
        if next.beat < last.beat {
            ensure!(
                next.beat <= beat,
                "beat {} after {}; the checkpoint is before {beat}",
                next.beat,
                last.beat
            );
            break;
        }
        last = next;
    }
    let now = live.beat_after(0)?;
    live.beat_after(now.beat + 1).context("after the restore").map(drop)
}

/// The next beat on the VM's console.
fn next_beat(live: &mut Live, console: &mut VmConsole) -> Result<Beat> {
    live.wait("the heartbeat goes on", |live| {
        while let Some(line) = console.next_line(&mut live.operator)? {
            if let Some(beat) = Beat::parse(&line) {
                return Ok(Some(beat));
            }
        }
        Ok(None)
    })
}

fn list(live: &mut Live) -> Result<Vec<Info>> {
    live.wait("the checkpoints are listed", |live| {
        match live.operator.ask(&Question::Checkpoint(checkpoint::Request::List { from: 0 })) {
            Ok(Answer::Checkpoint(checkpoint::Reply::List(list))) => Ok(Some(list)),
            Ok(_) => Ok(None),
            Err(_) => {
                let _ = live.reconnect();
                Ok(None)
            }
        }
    })
}

fn unchanged(live: &mut Live, there: &[Info]) -> Result<()> {
    let now = list(live)?;
    ensure!(now == there, "the checkpoints were {there:?}, and are {now:?}");
    ensure!(now.iter().all(|info| info.stage == Stage::Complete), "{now:?}");
    Ok(())
}

fn remove_all(live: &mut Live) -> Result<()> {
    for info in list(live)? {
        let reply = live.operator.ask_checkpoint(checkpoint::Request::Remove { id: info.id })?;
        ensure!(reply == checkpoint::Reply::Done, "remove: {reply:?}");
    }
    Ok(())
}
