// SPDX-License-Identifier: MIT OR Apache-2.0
//! `succession plan`, `start`, `status`, `resources`, `abort`, `retire`.

mod follow;
mod picture;
mod upload;
mod view;

use std::path::Path;

use api::succession::{Phase, Plan, Status};

use super::Output;
use crate::{Failure, SuccessionAction, System, text};
use follow::{End, Follower};

/// Column of a fact.
const FACT_AT: usize = 17;

/// The commands.
pub fn succession(
    system: &mut System,
    action: &SuccessionAction,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    match action {
        SuccessionAction::Plan { image } => {
            upload::send(system, image)?;
            let plan = system.plan()?;
            show_plan(&plan, output)?;
            unobstructed(&plan)
        }
        SuccessionAction::Start { image, retire } => start(system, image.as_deref(), *retire, output),
        SuccessionAction::Status { watch } => status(system, *watch, output),
        SuccessionAction::Resources => resources(system, output),
        SuccessionAction::Abort => abort(system, output),
        SuccessionAction::Retire => retire(system, output),
    }
}

fn show_plan(plan: &Plan, output: &mut Output<'_>) -> Result<(), Failure> {
    let view = view::Plan::of(plan);
    if output.json {
        return output.json(&view);
    }
    let list = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let mut fact =
        |name: &str, value: &str| output.wrapped(&format!("{:<16} {value}", format!("{name}:")), FACT_AT);
    fact("From", &view.from)?;
    fact("To", &view.to)?;
    let memory = text::bytes(plan.memory_bytes);
    let home =
        format!("CPU with APIC id {}, {memory} of memory, console at port {:#x}", plan.cpu, plan.console);
    fact("Carved out", &home)?;
    fact("VMs that move", &list(&view.vms))?;
    view.obstacles.iter().try_for_each(|obstacle| fact("Obstacle", obstacle))
}

/// An error if something stands in the way.
fn unobstructed(plan: &Plan) -> Result<(), Failure> {
    match plan.obstacles.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::refused(format!("the succession cannot begin: {}", text::plain(one)))),
        all => {
            let all = all.iter().map(|obstacle| text::plain(obstacle)).collect::<Vec<_>>().join("; ");
            Err(Failure::refused(format!("the succession cannot begin: {all}")))
        }
    }
}

fn start(
    system: &mut System,
    image: Option<&Path>,
    retire: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if let Some(image) = image {
        upload::send(system, image)?;
    }
    let before = system.progress()?;
    let plan = system.plan()?;
    unobstructed(&plan)?;
    if !output.json {
        show_plan(&plan, output)?;
        output.line("")?;
    }
    let mut follower = Follower::new(system, before).with_plan(&plan);
    system.begin()?;
    match follower.follow(system, true, output)? {
        End::Ready(_) if retire => {
            system.retire()?;
            let end = follower.follow(system, false, output)?;
            follower.conclude(&end, output)
        }
        end => follower.conclude(&end, output),
    }
}

fn status(system: &mut System, watch: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let status = system.progress()?;
    if watch {
        let mut follower = Follower::new(system, status).waiting();
        let end = follower.follow(system, false, output)?;
        return follower.conclude_watch(&end, output);
    }
    let khz = view::tsc_khz(system);
    if output.json { output.json(&view::Status::of(&status, khz)) } else { show_status(&status, khz, output) }
}

fn show_status(status: &Status, khz: Option<u64>, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut fact =
        |name: &str, value: &str| output.wrapped(&format!("{:<16} {value}", format!("{name}:")), FACT_AT);
    let role = if status.incumbent { "incumbent" } else { "successor" };
    fact("Version", &format!("{} ({role})", text::plain(&status.version)))?;
    fact("Phase", &format!("{} ({})", view::phase(status.phase), view::meaning(status.phase)))?;
    fact("Successions", &format!("{} completed", status.generation))?;
    fact("Resources", &format!("{} of {} with this one", status.owned, status.resources))?;
    if !status.message.is_empty() {
        fact("Message", &text::plain(&status.message))?;
    }
    view::blackouts(&status.blackouts, khz, output)
}

fn resources(system: &mut System, output: &mut Output<'_>) -> Result<(), Failure> {
    let (status, holdings) = system.picture()?;
    let mut picture = picture::Picture::new();
    picture.learn(&status, !status.incumbent);
    let rows = picture.look(&holdings, !status.incumbent);
    if output.json {
        return output.json(&rows.iter().map(|row| view::Resource::of(row, &picture)).collect::<Vec<_>>());
    }
    picture::table(&rows, &picture, output)
}

fn abort(system: &mut System, output: &mut Output<'_>) -> Result<(), Failure> {
    let before = system.progress()?;
    let mut follower = Follower::new(system, before);
    system.abort()?;
    match follower.follow(system, false, output)? {
        End::Back(status) => follower.say_back(&status, output),
        end => follower
            .conclude(&end, output)
            .and(Err(Failure::refused("it was too late to take everything back"))),
    }
}

fn retire(system: &mut System, output: &mut Output<'_>) -> Result<(), Failure> {
    let before = system.progress()?;
    if before.phase != Phase::Ready {
        return Err(Failure::refused(format!(
            "the succession is not ready: it is {}",
            view::phase(before.phase)
        ))
        .hint("`understudy succession status` tells how far it is."));
    }
    let mut follower = Follower::new(system, before);
    system.retire()?;
    let end = follower.follow(system, false, output)?;
    follower.conclude(&end, output)
}
