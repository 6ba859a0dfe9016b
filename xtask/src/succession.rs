// SPDX-License-Identifier: MIT OR Apache-2.0
//! Successions, driven from the host as an operator drives them.
//!
//! For demos, benches and scenario tests. Owns the conversation: the image goes up in parts, the
//! plan is read, the succession begins, and its progress is followed over the operator's line,
//! which in the middle of it changes hands.

use crate::live::Live;
use anyhow::{Result, bail, ensure};
use api::operator::{Reply as Answer, Request as Question};
use api::root::{self, Inventory};
use api::succession::{Blackout, Holding, Parts, Phase, Plan, Reply, Request, Status};
use api::vmm;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longest wait for a step of a succession that is carried out in the emulator.
const PATIENCE: Duration = Duration::from_secs(240);

/// Sends an image to the node.
pub fn stage(live: &mut Live, image: &[u8]) -> Result<()> {
    expect(live, Request::Stage { bytes: image.len() as u64 })?;
    for (part, _) in Parts::new(image) {
        expect(live, part)?;
    }
    Ok(())
}

/// Asks, and takes a refusal for an error.
pub fn expect(live: &mut Live, request: Request) -> Result<Reply> {
    match live.operator.ask_succession(request)? {
        Reply::Refused(why) => bail!("refused: {why}"),
        Reply::Denied => bail!("denied"),
        reply => Ok(reply),
    }
}

/// What would happen.
pub fn plan(live: &mut Live) -> Result<Plan> {
    match ask_patiently(live, &Request::Plan)? {
        Reply::Plan(plan) => Ok(plan),
        other => bail!("plan: {other:?}"),
    }
}

/// Asks the succession service over a line that may be changing hands.
pub fn ask_patiently(live: &mut Live, request: &Request) -> Result<Reply> {
    match ask(live, &Question::Succession(request.clone()))? {
        Answer::Succession(reply) => Ok(reply),
        other => bail!("succession: {other:?}"),
    }
}

/// Asks a VM in the same way.
pub fn ask_vm_patiently(live: &mut Live, vm: &str, request: &vmm::Request) -> Result<vmm::Reply> {
    match ask(live, &Question::Vm(vm.to_owned(), request.clone()))? {
        Answer::Vm(reply) => Ok(reply),
        other => bail!("{vm}: {other:?}"),
    }
}

fn ask(live: &mut Live, question: &Question) -> Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        live.watch()?;
        let answer = live.operator.ask(question);
        match answer {
            Ok(answer @ (Answer::Succession(_) | Answer::Vm(_))) => return Ok(answer),
            Ok(other) if Instant::now() > deadline => bail!("no answer: {other:?}"),
            Err(error) if Instant::now() > deadline => return Err(error),
            Ok(_) => std::thread::sleep(Duration::from_millis(100)),
            Err(_) => {
                let _ = live.reconnect();
            }
        }
    }
}

/// How far it is.
pub fn status(live: &mut Live) -> Result<Status> {
    match ask_patiently(live, &Request::Status)? {
        Reply::Status(status) => Ok(status),
        other => bail!("status: {other:?}"),
    }
}

/// All resources with their owners.
pub fn resources(live: &mut Live) -> Result<Vec<Holding>> {
    let mut all = Vec::new();
    loop {
        let Reply::Resources(part) = ask_patiently(live, &Request::Resources(all.len() as u32))? else {
            bail!("no list of resources")
        };
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

/// Follows the succession of `from` until `done` holds of its status; `say` hears what changes.
pub fn follow(
    live: &mut Live,
    say: &dyn Fn(&str),
    what: &str,
    from: &str,
    done: impl Fn(&Status) -> bool,
) -> Result<Status> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = (Phase::Quiet, 0, String::new());
    loop {
        let status = status(live)?;
        let now = (status.phase, status.owned, status.message.clone());
        if now != last {
            let Status { version, phase, owned, resources, message, .. } = &status;
            say(&format!("  {version}: {phase:?}, owns {owned} of {resources}; {message}"));
            last = now;
        }
        if done(&status) {
            return Ok(status);
        }
        if status.phase == Phase::Quiet && status.version == from {
            bail!("{what}: {} has everything again: {}", status.version, status.message);
        }
        if Instant::now() > deadline {
            bail!("{what}: not in {} s; {status:?}", PATIENCE.as_secs());
        }
        std::thread::sleep(live.pace);
    }
}

/// What came of a succession.
pub struct Done {
    /// Version that answers now.
    pub version: String,
    /// What it cost each vCPU.
    pub blackouts: Vec<Blackout>,
    /// Everything that changed owner, as it was before the incumbent left.
    pub resources: Vec<Holding>,
    /// Successions since the machine started.
    pub generation: u32,
    /// TSC ticks from launch to greeting.
    pub launch_ticks: u64,
    /// TSC ticks from the request to begin to the end; without the time that the incumbent stood
    /// ready to leave.
    pub total_ticks: u64,
}

/// One succession from the staging of the image to its end.
pub fn succeed(live: &mut Live, image: &[u8], version: &str, say: &dyn Fn(&str)) -> Result<Done> {
    let from = stand_by(live, image, version, say)?;
    let (blackouts, resources) = (status(live)?.blackouts, resources(live)?);
    retire(live)?;
    let status = follow(live, say, "the successor owns everything", &from, |status| {
        status.phase == Phase::Quiet && status.version == version
    })?;
    let Status { version, generation, launch_ticks, total_ticks, switch_extras, .. } = status;
    let [allocations, lines, waits] = switch_extras;
    ensure!(
        switch_extras == [0; 3],
        "{allocations} allocations, {lines} log lines and {waits} waits between the stop of a VM and its run"
    );
    Ok(Done { version, blackouts, resources, generation, launch_ticks, total_ticks })
}

/// One succession until the incumbent has only its home left; the version that it began from.
pub fn stand_by(live: &mut Live, image: &[u8], version: &str, say: &dyn Fn(&str)) -> Result<String> {
    let from = begin(live, image, version, say)?;
    follow(live, say, "the incumbent is ready to leave", &from, |status| status.phase == Phase::Ready)?;
    Ok(from)
}

/// Sends the image, if it is not there, reads the plan, and begins; the version that it begins
/// from.
pub fn begin(live: &mut Live, image: &[u8], version: &str, say: &dyn Fn(&str)) -> Result<String> {
    let mut plan = plan(live)?;
    if plan.to != version {
        stage(live, image)?;
        plan = self::plan(live)?;
    }
    if !plan.obstacles.is_empty() {
        bail!("the plan has obstacles: {}", plan.obstacles.join("; "));
    }
    say(&format!(
        "plan: {} -> {}; CPU {}, {} MiB, console at {:#x}; moving: {}",
        plan.from,
        plan.to,
        plan.cpu,
        plan.memory_bytes >> 20,
        plan.console,
        plan.vms.join(", ")
    ));
    expect(live, Request::Start)?;
    Ok(plan.from)
}

/// Follows a succession to whatever end it has; the incumbent leaves as soon as it can. The version
/// that has everything then.
pub fn to_the_end(live: &mut Live) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(live)?;
        match status.phase {
            Phase::Quiet => return Ok(status.version),
            // It may be back before it is asked.
            Phase::Ready => drop(ask_patiently(live, &Request::Retire)?),
            _ => {}
        }
        if Instant::now() > deadline {
            bail!("no end in {} s: {status:?}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lets the incumbent leave. Nobody may be left to answer.
pub fn retire(live: &mut Live) -> Result<()> {
    match ask_patiently(live, &Request::Retire)? {
        Reply::Refused(why) => bail!("retire: {why}"),
        _ => Ok(()),
    }
}

/// The machine as root sees it.
pub fn inventory(live: &mut Live) -> Result<Inventory> {
    match live.operator.ask_root(root::Request::Inventory)? {
        root::Reply::Inventory(inventory) => Ok(inventory),
        other => bail!("root: {other:?}"),
    }
}

/// Whether two inventories have the same CPUs, in whatever order, and as much memory.
pub fn is_same_machine(one: &Inventory, other: &Inventory) -> bool {
    let ids = |inventory: &Inventory| inventory.apic_ids.iter().copied().collect::<BTreeSet<u32>>();
    ids(one) == ids(other) && one.memory_bytes == other.memory_bytes
}
