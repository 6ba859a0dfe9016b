// SPDX-License-Identifier: MIT OR Apache-2.0
//! `metrics`: what is known in numbers, in the text format of OpenMetrics 1.0.

use core::fmt::Display;

use super::Output;
use crate::{Failure, System};

/// Names of VMs and services are written by the manifest; a quote in one must not end a label.
fn label(name: &str) -> String {
    crate::text::plain(name).replace('\\', "\\\\").replace('"', "\\\"")
}

/// A family: its name, its type, its help, and samples with their label.
fn family(
    output: &mut Output<'_>,
    (name, kind, help): (&str, &str, &str),
    samples: &[(String, String)],
) -> Result<(), Failure> {
    output.line(&format!("# TYPE {name} {kind}"))?;
    output.line(&format!("# HELP {name} {help}"))?;
    let end = if kind == "counter" { "_total" } else { "" };
    samples.iter().try_for_each(|(labels, value)| output.line(&format!("{name}{end}{labels} {value}")))
}

/// The command.
pub fn metrics(system: &mut System, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.json {
        return Err(Failure::unreachable("metrics are OpenMetrics, not JSON")
            .hint("`understudy --json ps` has them."));
    }
    let inventory = system.inventory()?;
    let processes = system.partitions()?;
    let mut vms = Vec::new();
    for process in processes.iter().filter(|process| process.is_vm) {
        // One that does not answer has no samples.
        if let Ok(status) = system.status(&process.name) {
            vms.push((format!("{{vm=\"{}\"}}", label(&process.name)), status));
        }
    }
    let store = system.store().ok();
    let one = |value: u64| [(String::new(), value.to_string())];
    family(
        output,
        ("understudy_memory_bytes", "gauge", "Memory of the machine."),
        &one(inventory.memory_bytes),
    )?;
    family(
        output,
        ("understudy_memory_free_bytes", "gauge", "Memory not in use."),
        &one(inventory.free_bytes),
    )?;
    let rendezvous = ("understudy_rendezvous", "counter", "Times that CPUs were stopped.");
    family(output, rendezvous, &one(inventory.rendezvous))?;
    let restarts = processes
        .iter()
        .map(|process| (format!("{{partition=\"{}\"}}", label(&process.name)), process.restarts.to_string()));
    let help = ("understudy_restarts", "counter", "Restarts of a partition.");
    family(output, help, &restarts.collect::<Vec<_>>())?;
    if let Some(store) = store {
        family(output, ("understudy_store_pages", "gauge", "Pages of the page store."), &one(store.pages))?;
        family(output, ("understudy_store_pages_used", "gauge", "Pages in use."), &one(store.used))?;
    }
    let mut of_vms = |about, value: &dyn Fn(&api::vmm::Status) -> Box<dyn Display>| {
        let samples = vms.iter().map(|(labels, status)| (labels.clone(), value(status).to_string()));
        family(output, about, &samples.collect::<Vec<_>>())
    };
    of_vms(("understudy_vm_running", "gauge", "1 where the VM runs."), &|status| {
        Box::new(u8::from(status.state == api::vmm::State::Running))
    })?;
    of_vms(("understudy_vm_exits", "counter", "Exits of the VM."), &|status| Box::new(status.exits))?;
    of_vms(("understudy_vm_uptime_seconds", "gauge", "Time since the VM started."), &|status| {
        Box::new(status.uptime_ms as f64 / 1000.0)
    })?;
    of_vms(
        ("understudy_vm_checkpoints_left", "gauge", "Checkpoints that the VM may still have."),
        &|status| Box::new(status.quota_left),
    )?;
    output.line("# EOF")
}
