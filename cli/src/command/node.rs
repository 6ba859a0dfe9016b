// SPDX-License-Identifier: MIT OR Apache-2.0
//! `restart` and `poweroff`: services, and the machine.

use std::time::{Duration, Instant};

use api::root::{Process, ProcessState};
use serde::Serialize;

use super::Output;
use crate::{Failure, System};

/// How long a service may take to be there again.
const RETURN: Duration = Duration::from_secs(30);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Done<'a> {
    service: &'a str,
    done: &'static str,
    restarts: u32,
}

/// Restarts a service and waits until it runs.
pub fn restart(system: &mut System, service: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    let before = find(system, service)?;
    system.restart(service)?;
    let deadline = Instant::now() + RETURN;
    let after = loop {
        system.rest(GLANCE);
        // The operator service may be the one that is away.
        match find(system, service) {
            Ok(now) if now.restarts != before.restarts && now.state == ProcessState::Running => break now,
            Err(failure) if Instant::now() > deadline => return Err(failure),
            Ok(now) if Instant::now() > deadline => {
                return Err(Failure::refused(format!("'{service}' does not run: {:?}", now.state))
                    .hint("`understudy log --from root` may say why."));
            }
            _ => {}
        }
    };
    if output.json {
        return output.json(&Done { service, done: "restarted", restarts: after.restarts });
    }
    output.line(&format!("Service '{service}' restarted"))
}

fn find(system: &mut System, service: &str) -> Result<Process, Failure> {
    let found = system.partitions()?.into_iter().find(|process| process.name == service);
    match found {
        Some(process) if process.is_vm => {
            Err(Failure::refused(format!("'{service}' is a VM, not a service"))
                .hint(format!("`understudy stop {service}`, then `start`, boots it from its beginning.")))
        }
        Some(process) => Ok(process),
        None => Err(Failure::refused(format!("there is no service '{service}'"))
            .hint("`understudy ps` lists what there is.")),
    }
}

/// Switches the machine off.
pub fn power_off(system: &mut System, yes: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    if !yes {
        return Err(Failure::unreachable("this ends all VMs and loses their checkpoints: say --yes"));
    }
    system.power_off()?;
    if output.json { output.json_line(&"off") } else { output.line("The machine is off") }
}
