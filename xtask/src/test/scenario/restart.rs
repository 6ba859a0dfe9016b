// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services are killed and started anew while VMs run: no VM is lost, and the service works again.

use super::{boot, undisturbed};
use crate::live::Live;
use crate::operator::VmConsole;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use api::root::{ProcessState, Reply, Request};
use api::vmm;
use std::path::Path;

/// The log goes on, under the new instance.
pub fn console(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let before = live.beat_after(0)?;
    anew(&mut live, "console")?;
    // What others say reaches the serial line again.
    live.pass_over_lines()?;
    live.wait_line("[heartbeat] | beat")?;
    let reply = live.operator.ask_console(api::console::Request::Read { cursor: 0 })?;
    let api::console::Reply::Log { .. } = reply else { bail!("the console does not work: {reply:?}") };
    undisturbed(&mut live, before)
}

/// A console that waits for ever, then one that computes for ever with the highest priority that
/// there is for services: root finds both, and in the end leaves it down. The heartbeat goes on,
/// and the operator is served in between.
pub fn hung_console(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = super::boot_system("hung-console", machine, iso, log)?;
    let before = live.beat_after(0)?;
    live.wait("the console was started again twice", |live| {
        Ok((live.process("console")?.restarts >= 2).then_some(()))
    })?;
    undisturbed(&mut live, before)?;
    let Reply::Faults(faults) = live.operator.ask_root(Request::Faults(0))? else { bail!("no faults") };
    if !faults.iter().any(|fault| fault.name == "console" && fault.text.contains("no answer")) {
        bail!("what has happened is not said: {faults:?}");
    }
    match live.operator.ask_root(Request::Kill("console".to_owned()))? {
        // Root speaks for itself again, on the serial line that the console had.
        Reply::Done => live.wait_line("root: console killed").map(|_| ()),
        other => bail!("the console was not ended: {other:?}"),
    }
}

/// A new session is opened with the new instance.
pub fn operator(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let before = live.beat_after(0)?;
    anew(&mut live, "operator")?;
    undisturbed(&mut live, before)
}

/// A checkpoint of before lies in the store and can be restored; new ones are made and restored.
pub fn checkpoint(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot(machine, iso, log)?;
    let mut guest = VmConsole::of("linux");
    live.wait_guest(&mut guest, "checkpointer: counter 2")?;
    let before = live.beat_after(0)?;
    let first = super::checkpoints::create(&mut live, "linux")?;
    anew(&mut live, "checkpoint")?;
    live.wait_guest(&mut guest, "checkpointer: counter")?;
    super::checkpoints::restore(&mut live, "linux", first)?;
    live.wait_guest(&mut guest, "checkpointer: counter")?;
    let id = super::checkpoints::create(&mut live, "linux")?;
    super::checkpoints::restore(&mut live, "linux", id)?;
    undisturbed(&mut live, before)?;
    match live.operator.ask_vm("linux", vmm::Request::Status)? {
        vmm::Reply::Status(status) if status.state == vmm::State::Running => Ok(()),
        other => bail!("linux: {other:?}"),
    }
}

/// Starts a service anew and waits until it runs and has been counted.
pub(super) fn anew(live: &mut Live, name: &str) -> Result<()> {
    let before = live.process(name)?.restarts;
    live.pass_over_lines()?;
    let request = Request::Restart(name.to_owned());
    if name == "operator" {
        // It cannot answer: it is itself the one.
        live.operator.tell(&api::operator::Request::Root(request))?;
        live.wait_line("root: operator started")?;
        live.reconnect()?;
    } else {
        match live.operator.ask_root(request)? {
            Reply::Done => {}
            other => bail!("{name} was not started anew: {other:?}"),
        }
    }
    live.wait(&format!("{name} runs again"), |live| {
        let process = live.process(name)?;
        let again = process.restarts > before && process.state == ProcessState::Running;
        Ok(again.then_some(()))
    })
}
