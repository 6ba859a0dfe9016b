// SPDX-License-Identifier: MIT OR Apache-2.0
//! `checkpoint create`, `ls`, `restore`, `rm`.

use std::time::{Duration, Instant};

use api::checkpoint::{Info, Stage};
use api::vmm::Request;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Output;
use crate::interrupt::Underway;
use crate::{CheckpointAction, Failure, System, text};

/// How often a checkpoint in the making is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Bytes of a page.
const PAGE: u64 = 4096;

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
    let _goes_on = Underway::new(format!("The checkpoint goes on; see `understudy checkpoint ls {vm}`."));
    let id = system.create(vm).map_err(|failure| full(system, vm, failure))?;
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

/// A refusal to create one: where the VM has as many as it may have, with their numbers.
fn full(system: &mut System, vm: &str, failure: Failure) -> Failure {
    let quota_left = system.status(vm).map(|status| status.quota_left);
    let (true, Ok(0), Ok(all)) = (failure.code() == 1, quota_left, system.checkpoints(0)) else {
        return failure;
    };
    let counts = |info: &&Info| info.vm == vm && !matches!(info.stage, Stage::Failed(_));
    let ids: Vec<String> = all.iter().filter(counts).map(|info| info.id.to_string()).collect();
    let Some(oldest) = ids.first() else { return failure };
    Failure::refused(format!(
        "VM '{vm}' has {} checkpoints ({}), as many as it may have",
        ids.len(),
        ids.join(", ")
    ))
    .hint(format!("`understudy checkpoint rm {vm} {oldest}` removes the oldest."))
}

/// Shows the progress of a checkpoint until it is complete or has failed.
fn watch(system: &mut System, vm: &str, id: u64) -> Result<Info, Failure> {
    let bar = bar(vm);
    system.watch(true);
    loop {
        let info = system.find(vm, id)?;
        match info.stage {
            Stage::Complete | Stage::Failed(_) => {
                bar.finish_and_clear();
                system.watch(false);
                return Ok(info);
            }
            Stage::Begun => {}
            Stage::Copying { done, total } | Stage::Verifying { done, total } => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(format!("{vm}: {}", text::stage(&info.stage).0));
            }
        }
        system.rest(GLANCE);
    }
}

fn list(system: &mut System, vm: Option<&str>, output: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(vm) = vm {
        // A name that does not exist is a mistake and not an empty list.
        system.expect_vm(vm)?;
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
            if view.state == "failed" {
                view.state.to_owned()
            } else {
                text::with_details((view.state, view.reason.clone()))
            },
            text::span(view.created_ms),
            text::bytes(view.new_pages.saturating_mul(PAGE)),
            view.digest.as_ref().map_or_else(|| "-".to_owned(), |digest| digest[..8].to_owned()),
        ]
    });
    output
        .table(&["Id", "VM", "Parent", "State", "Created at", "Size", "Digest"], &rows.collect::<Vec<_>>())?;
    for view in views.iter().filter(|view| view.state == "failed") {
        let why = view.reason.as_deref().unwrap_or_default();
        output.wrapped(&format!("{}: failed ({why})", view.id), 4)?;
    }
    Ok(())
}

fn newest(system: &mut System, vm: &str) -> Result<Info, Failure> {
    system.expect_vm(vm)?;
    let complete = |info: &Info| info.vm == vm && matches!(info.stage, Stage::Complete);
    system.checkpoints(0)?.into_iter().rfind(complete).ok_or_else(|| {
        Failure::refused(format!("VM '{vm}' has no checkpoint that is complete"))
            .hint(format!("`understudy checkpoint create {vm}` makes one."))
    })
}

fn restore(system: &mut System, vm: &str, id: Option<u64>, output: &mut Output<'_>) -> Result<(), Failure> {
    let begun = Instant::now();
    let info = match id {
        Some(id) => {
            system.expect_vm(vm)?;
            system.find(vm, id)?
        }
        None => newest(system, vm)?,
    };
    let spinner =
        ProgressBar::new_spinner().with_message(format!("{vm}: going back to checkpoint {}", info.id));
    spinner.enable_steady_tick(GLANCE);
    let _goes_on = Underway::new(format!("The restore goes on; see `understudy log --from {vm}`."));
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
    system.expect_vm(vm)?;
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
