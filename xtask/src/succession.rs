// SPDX-License-Identifier: MIT OR Apache-2.0
//! Successions, driven from the host as an operator drives them.
//!
//! Owns the conversation: the image goes up in parts, the plan is read, the succession begins, and its progress is followed
//! over the operator's line, which in the middle of it changes hands.

use crate::live::Live;
use anyhow::{Result, bail};
use api::operator::{Reply as Answer, Request as Question};
use api::root::{self, Inventory};
use api::succession::{Blackout, MAX_PART, Phase, Plan, Reply, Request, Status};
use std::time::{Duration, Instant};

/// Longest wait for a step of a succession that is carried out in the emulator.
const PATIENCE: Duration = Duration::from_secs(240);

/// Sends an image to the node.
pub fn stage(live: &mut Live, image: &[u8]) -> Result<()> {
    expect(live, Request::Stage { bytes: image.len() as u64 })?;
    for (part, offset) in image.chunks(MAX_PART).zip((0..).step_by(MAX_PART)) {
        expect(live, Request::Part { offset, bytes: part.to_vec() })?;
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
    match expect(live, Request::Plan)? {
        Reply::Plan(plan) => Ok(plan),
        other => bail!("plan: {other:?}"),
    }
}

/// Asks over a line that may be changing hands.
pub fn ask_patiently(live: &mut Live, request: &Request) -> Result<Reply> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        live.watch()?;
        let answer = live.operator.ask(&Question::Succession(request.clone()));
        match answer {
            Ok(Answer::Succession(reply)) => return Ok(reply),
            Ok(other) if Instant::now() > deadline => bail!("succession: {other:?}"),
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
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One succession from the staging of the image to the end, or until the incumbent is ready to leave.
pub fn succeed(live: &mut Live, image: &[u8], version: &str, say: &dyn Fn(&str)) -> Result<Status> {
    stage(live, image)?;
    let plan = plan(live)?;
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
    follow(live, say, "the incumbent is ready to leave", &plan.from, |status| status.phase == Phase::Ready)?;
    let blackouts = blackouts(live)?;
    if let Reply::Refused(why) = ask_patiently(live, &Request::Retire)? {
        bail!("retire: {why}");
    }
    let mut status = follow(live, say, "the successor owns everything", &plan.from, |status| {
        status.phase == Phase::Quiet && status.version == version
    })?;
    status.blackouts = blackouts;
    Ok(status)
}

/// What the last handover of each vCPU cost.
pub fn blackouts(live: &mut Live) -> Result<Vec<Blackout>> {
    Ok(status(live)?.blackouts)
}

/// The machine as root sees it.
pub fn inventory(live: &mut Live) -> Result<Inventory> {
    match live.operator.ask_root(root::Request::Inventory)? {
        root::Reply::Inventory(inventory) => Ok(inventory),
        other => bail!("root: {other:?}"),
    }
}
