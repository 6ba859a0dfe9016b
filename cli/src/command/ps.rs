// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ps`: VMs and services.

use api::root::Process;
use api::vmm::Status;
use serde::Serialize;

use super::Output;
use crate::{Failure, System, text};

#[derive(Serialize)]
struct Row<'a> {
    id: usize,
    name: &'a str,
    kind: &'static str,
    state: &'static str,
    reason: Option<String>,
    cpu: u32,
    priority: u8,
    memory_bytes: u64,
    restarts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<Vm>,
}

#[derive(Serialize)]
struct Vm {
    vcpus: u32,
    guest_memory_bytes: u64,
    uptime_ms: u64,
    exits: u64,
    quota_left: u32,
    last_pause_ticks: u64,
}

/// The command.
pub fn ps(system: &mut System, vms: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let processes = system.partitions()?;
    let mut rows = Vec::new();
    for (index, process) in processes.iter().enumerate() {
        if vms && !process.is_vm {
            continue;
        }
        // One that does not answer is shown nevertheless; that is what one wants to see here.
        let status = if process.is_vm { system.status(&process.name).ok() } else { None };
        rows.push(row(index + 1, process, status.as_ref()));
    }
    if output.json {
        return output.json(&rows);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    output.table(&["Name", "Kind", "State", "CPU", "Memory", "Restarts", "Uptime", "Exits"], &cells)?;
    // Reasons are sentences, which make no columns.
    rows.iter().try_for_each(|row| match &row.reason {
        Some(reason) => output.wrapped(&format!("{}: {} ({reason})", text::plain(row.name), row.state), 4),
        None => Ok(()),
    })
}

fn row<'a>(id: usize, process: &'a Process, status: Option<&Status>) -> Row<'a> {
    let (state, reason) = text::state(process, status);
    let vm = status.map(|status| Vm {
        vcpus: status.vcpus,
        guest_memory_bytes: status.memory_bytes,
        uptime_ms: status.uptime_ms,
        exits: status.exits,
        quota_left: status.quota_left,
        last_pause_ticks: status.last_pause_ticks,
    });
    Row {
        id,
        name: &process.name,
        kind: if process.is_vm { "vm" } else { "service" },
        state,
        reason,
        cpu: process.cpu,
        priority: process.priority,
        memory_bytes: process.memory_bytes,
        restarts: process.restarts,
        vm,
    }
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let of_vm = |value: &dyn Fn(&Vm) -> String| row.vm.as_ref().map_or_else(|| "-".to_owned(), value);
    vec![
        text::plain(row.name),
        row.kind.to_owned(),
        row.state.to_owned(),
        row.cpu.to_string(),
        text::bytes(row.memory_bytes),
        row.restarts.to_string(),
        of_vm(&|vm| text::span(vm.uptime_ms)),
        of_vm(&|vm| text::count(vm.exits)),
    ]
}
