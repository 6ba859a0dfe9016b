// SPDX-License-Identifier: MIT OR Apache-2.0
//! `start`, `stop`, `pause`, `resume`.

use api::vmm::{Request, State};
use serde::Serialize;

use super::Output;
use crate::interrupt::Underway;
use crate::{Failure, System};

#[derive(Serialize)]
struct Done<'a> {
    vm: &'a str,
    done: &'static str,
}

fn command(
    system: &mut System,
    vm: &str,
    request: Request,
    done: &'static str,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    system.command(vm, request)?;
    if output.json { output.json(&Done { vm, done }) } else { output.line(&format!("VM '{vm}' {done}")) }
}

/// Starts a VM from its beginning; one that runs is not touched.
pub fn start(system: &mut System, vm: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    match system.status(vm)?.state {
        State::Running => Err(already_running(vm)),
        State::Paused => Err(Failure::refused(format!("VM '{vm}' is paused"))
            .hint(format!("`understudy resume {vm}` lets it go on; `understudy stop {vm}` ends it."))),
        State::Away => Err(away(vm)),
        State::Stopped | State::Failed(_) => {
            let _goes_on = Underway::new(format!("VM '{vm}' goes on starting; see `understudy ps`."));
            command(system, vm, Request::Start, "started", output)
        }
    }
}

/// Stops a VM.
pub fn stop(system: &mut System, vm: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    match system.status(vm)?.state {
        State::Stopped => Err(Failure::refused(format!("VM '{vm}' is not running"))),
        State::Away => Err(away(vm)),
        _ => command(system, vm, Request::Stop, "stopped", output),
    }
}

/// Pauses a VM.
pub fn pause(system: &mut System, vm: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    match system.status(vm)?.state {
        State::Paused => Err(Failure::refused(format!("VM '{vm}' is already paused"))
            .hint(format!("`understudy resume {vm}` lets it go on."))),
        State::Running => command(system, vm, Request::Pause, "paused", output),
        State::Away => Err(away(vm)),
        State::Stopped | State::Failed(_) => Err(not_running(vm)),
    }
}

/// Lets a VM go on.
pub fn resume(system: &mut System, vm: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    match system.status(vm)?.state {
        State::Running => Err(already_running(vm)),
        State::Paused => command(system, vm, Request::Resume, "resumed", output),
        State::Away => Err(away(vm)),
        State::Stopped | State::Failed(_) => Err(not_running(vm)),
    }
}

fn already_running(vm: &str) -> Failure {
    Failure::refused(format!("VM '{vm}' is already running"))
}

fn not_running(vm: &str) -> Failure {
    Failure::refused(format!("VM '{vm}' is not running"))
        .hint(format!("`understudy start {vm}` starts it from its beginning."))
}

fn away(vm: &str) -> Failure {
    Failure::refused(format!("VM '{vm}' is between two hypervisors"))
        .hint("`understudy succession status` tells how far it is.")
}
