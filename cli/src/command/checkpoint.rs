// SPDX-License-Identifier: MIT OR Apache-2.0
//! `checkpoint create`, `ls`, `restore`, `rm`.

use std::time::{Duration, Instant};

use api::checkpoint::{Info, Stage};
use api::vmm::Request;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Output;
use crate::{CheckpointAction, Failure, System, text};

/// How often a checkpoint in the making is looked at.
const GLANCE: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct View {
    id: u64,
    vm: String,
    parent: Option<u64>,
    state: &'static str,
    reason: Option<String>,
    created_ms: u64,
    new_pages: u64,
    state_bytes: u32,
    digest: Option<String>,
}

/// The commands.
pub fn checkpoint(
    system: &mut System,
    action: &CheckpointAction,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    match action {
        CheckpointAction::Create { vm, no_wait } => create(system, vm, !no_wait, output),
        CheckpointAction::Ls { vm } => list(system, vm.as_deref(), output),
        CheckpointAction::Restore { vm, id } => restore(system, vm, *id, output),
        CheckpointAction::Rm { vm, id } => remove(system, vm, id, output),
    }
}

fn view(info: &Info) -> View {
    let (state, reason) = text::stage(&info.stage);
    let digest = info.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    View {
        id: info.id,
        vm: text::plain(&info.vm),
        parent: info.parent,
        state,
        reason,
        created_ms: info.at_ms,
        new_pages: info.new_pages,
        state_bytes: info.state_bytes,
        digest: matches!(info.stage, Stage::Complete).then_some(digest),
    }
}

fn bar(vm: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} pages {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(vm.to_owned());
    bar
}

fn create(system: &mut System, vm: &str, wait: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    let begun = Instant::now();
    let id = system.create(vm)?;
    let info = if wait { watch(system, vm, id)? } else { system.find(vm, id)? };
    if let Stage::Failed(_) = info.stage {
        let why = text::stage(&info.stage).1.unwrap_or_default();
        return Err(Failure::refused(format!("checkpoint {id} of VM '{vm}' failed: {why}"))
            .hint("The VM goes on. `understudy checkpoint ls` shows what takes the room."));
    }
    if output.json {
        return output.json(&view(&info));
    }
    let note = match info.stage {
        Stage::Complete => format!(
            " ({} new pages, {} of state, {})",
            info.new_pages,
            text::bytes(info.state_bytes.into()),
            text::span(begun.elapsed().as_millis() as u64)
        ),
        _ => " (still being copied)".to_owned(),
    };
    output.line(&format!("Checkpoint {id} of VM '{vm}' created{note}"))
}

/// Shows the progress of a checkpoint until it is complete or has failed.
fn watch(system: &mut System, vm: &str, id: u64) -> Result<Info, Failure> {
    let bar = bar(vm);
    loop {
        let info = system.find(vm, id)?;
        match info.stage {
            Stage::Complete | Stage::Failed(_) => {
                bar.finish_and_clear();
                return Ok(info);
            }
            Stage::Begun => {}
            Stage::Copying { done, total } | Stage::Verifying { done, total } => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(format!("{vm}: {}", text::stage(&info.stage).0));
            }
        }
        std::thread::sleep(GLANCE);
    }
}

fn list(system: &mut System, vm: Option<&str>, output: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(vm) = vm {
        // A name that does not exist is a mistake and not an empty list.
        if !system.partitions()?.iter().any(|process| process.is_vm && process.name == vm) {
            return Err(
                Failure::refused(format!("there is no VM '{vm}'")).hint("`understudy ps --vms` lists them.")
            );
        }
    }
    let all = system.checkpoints(0)?;
    let views: Vec<View> = all.iter().filter(|info| vm.is_none_or(|vm| info.vm == vm)).map(view).collect();
    if output.json {
        return output.json(&views);
    }
    let rows = views.iter().map(|view| {
        vec![
            view.id.to_string(),
            view.vm.clone(),
            view.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string()),
            text::with_details((view.state, view.reason.clone())),
            text::span(view.created_ms),
            view.new_pages.to_string(),
            view.digest.as_ref().map_or_else(|| "-".to_owned(), |digest| digest[..16].to_owned()),
        ]
    });
    output.table(
        &["Id", "VM", "Parent", "State", "Created at", "New pages", "Digest"],
        &rows.collect::<Vec<_>>(),
    )
}

fn newest(system: &mut System, vm: &str) -> Result<Info, Failure> {
    let complete = |info: &Info| info.vm == vm && matches!(info.stage, Stage::Complete);
    system.checkpoints(0)?.into_iter().rfind(complete).ok_or_else(|| {
        Failure::refused(format!("VM '{vm}' has no checkpoint that is complete"))
            .hint(format!("`understudy checkpoint create {vm}` makes one."))
    })
}

fn restore(system: &mut System, vm: &str, id: Option<u64>, output: &mut Output<'_>) -> Result<(), Failure> {
    let begun = Instant::now();
    let info = match id {
        Some(id) => system.find(vm, id)?,
        None => newest(system, vm)?,
    };
    let spinner =
        ProgressBar::new_spinner().with_message(format!("{vm}: going back to checkpoint {}", info.id));
    spinner.enable_steady_tick(GLANCE);
    let done = system.command(vm, Request::Restore { id: info.id });
    spinner.finish_and_clear();
    done?;
    if output.json {
        return output.json(&view(&info));
    }
    let took = text::span(begun.elapsed().as_millis() as u64);
    output.line(&format!("VM '{vm}' restored to checkpoint {} ({took})", info.id))
}

fn remove(system: &mut System, vm: &str, ids: &[u64], output: &mut Output<'_>) -> Result<(), Failure> {
    // All are looked for first, so that a slip of the finger removes nothing.
    let mut found = Vec::new();
    for &id in ids {
        found.push(system.find(vm, id)?);
    }
    for info in &found {
        system.remove(info.id)?;
        if !output.json {
            output.line(&format!("Checkpoint {} of VM '{vm}' removed", info.id))?;
        }
    }
    if output.json { output.json(&found.iter().map(view).collect::<Vec<_>>()) } else { Ok(()) }
}
