// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that try what must not work, take what they can get, or end badly: it is their own
//! affair, and nobody else's.

use super::{boot_system, undisturbed};
use crate::live::Live;
use crate::operator::VmConsole;
use crate::qemu::Machine;
use anyhow::{Result, bail};
use api::root::ProcessState;
use api::vmm::{Reply, Request, State};
use std::path::Path;

/// Every port, MSR, CPUID leaf, forbidden instruction, and memory that is not there.
pub fn tries_everything(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot_system("hostile", machine, iso, log)?;
    let before = live.beat_after(0)?;
    let mut guest = VmConsole::of("hostile");
    let mut said = Vec::new();
    for what in ["cpuid:", "instructions:", "memory:", "msrs:", "ports:", "done"] {
        said.push(live.wait_guest(&mut guest, &format!("hostile: {what}"))?);
    }
    if !said.iter().any(|line| line.contains("0 instructions behaved wrongly")) {
        bail!("an instruction did what it must not: {said:?}");
    }
    ends(&mut live, "hostile", &|state| *state == State::Stopped)?;
    nobody_fell(&mut live, &["hostile"])?;
    undisturbed(&mut live, before)
}

/// A triple fault, a state that no processor takes, a jump to where no memory is, a halt for ever:
/// the VM is over, with the reason.
pub fn ends_badly(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot_system("hostile-ends", machine, iso, log)?;
    let before = live.beat_after(0)?;
    let failed =
        |why: &'static str| move |state: &State| matches!(state, State::Failed(text) if text.contains(why));
    ends(&mut live, "triple-fault", &failed("triple fault"))?;
    ends(&mut live, "bad-state", &failed("the processor refuses its state"))?;
    ends(&mut live, "wild-jump", &failed("outside of memory"))?;
    ends(&mut live, "deaf", &|state| *state == State::Stopped)?;
    nobody_fell(&mut live, &["triple-fault", "bad-state", "wild-jump", "deaf"])?;
    // What has ended can be started anew.
    match live.operator.ask_vm("triple-fault", Request::Start)? {
        Reply::Done => {}
        other => bail!("triple-fault was not started anew: {other:?}"),
    }
    ends(&mut live, "triple-fault", &failed("triple fault"))?;
    undisturbed(&mut live, before)
}

/// A guest that computes without end on the heartbeat's CPU, and one that floods its console: the
/// heartbeat misses no beat, the log still has its lines, the operator is served, and can end them.
pub fn hogs(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut live = boot_system("hostile-hogs", machine, iso, log)?;
    let mut flood = VmConsole::of("flood");
    live.wait_guest(&mut flood, "flood flood")?;
    let mut spin = VmConsole::of("spin");
    live.wait_guest(&mut spin, "hostile: spin")?;
    let before = live.beat_after(0)?;
    // Of all lines that come, the heartbeat's own are some: the log takes turns. (How many of a
    // flood's lines are left out is a matter of time, and of the console's own tests.)
    for _ in 0..20 {
        live.wait_line("[flood] | hostile: flood")?;
        live.wait_line("[heartbeat] | beat ")?;
    }
    nobody_fell(&mut live, &["spin", "flood"])?;
    let before = live.beat_after(before.beat)?;
    for vm in ["spin", "flood"] {
        match live.operator.ask_vm(vm, Request::Stop)? {
            Reply::Done => {}
            other => bail!("{vm} was not stopped: {other:?}"),
        }
        ends(&mut live, vm, &|state| *state == State::Stopped)?;
    }
    undisturbed(&mut live, before)
}

/// Waits until a VM's state is as expected; a VM that has ended in another way never will be.
fn ends(live: &mut Live, vm: &str, expected: &dyn Fn(&State) -> bool) -> Result<()> {
    live.wait(&format!("{vm} ends"), |live| match live.operator.ask_vm(vm, Request::Status)? {
        Reply::Status(status) if expected(&status.state) => Ok(Some(())),
        Reply::Status(status) if status.state == State::Running => Ok(None),
        other => bail!("{vm}: {other:?}"),
    })
}

/// Every partition runs, and none was started anew; so a VMM outlives its guest.
pub fn nobody_fell(live: &mut Live, vms: &[&str]) -> Result<()> {
    for name in ["console", "checkpoint", "operator", "heartbeat"].iter().chain(vms) {
        let process = live.process(name)?;
        if process.restarts != 0 || process.state != ProcessState::Running {
            bail!("{name} has fallen: {process:?}");
        }
    }
    Ok(())
}
