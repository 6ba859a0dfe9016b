// SPDX-License-Identifier: MIT OR Apache-2.0
//! Non-maskable interrupts of the machine while a guest runs: neither the core nor the guest minds.
//!
//! The emulator's control socket sends them. Machine checks are not here: the emulator does not
//! intercept them (`docs/caveats.md`).

use super::{boot_system, hostile, undisturbed};
use crate::operator::VmConsole;
use crate::qemu::Machine;
use crate::qmp::{self, Monitor};
use anyhow::{Result, bail};
use api::vmm::{Reply, Request, State};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How many are sent: nearly all of them hit the guest, which does nothing but compute.
const TIMES: usize = 50;

/// All CPUs get many NMIs; the one whose guest never exits by itself, too.
pub fn in_guest(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let mut machine = machine.clone();
    let socket = qmp::socket_for(&mut machine, log);
    let mut live = boot_system("interrupted", &machine, iso, log)?;
    let mut spin = VmConsole::of("spin");
    live.wait_guest(&mut spin, "hostile: spin")?;
    let before = live.beat_after(0)?;
    let mut monitor = Monitor::open(&socket)?;
    for _ in 0..TIMES {
        monitor.execute("inject-nmi", json!({}))?;
        live.watch()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let before_end = live.beat_after(before.beat)?;
    match live.operator.ask_vm("spin", Request::Status)? {
        Reply::Status(status) if status.state == State::Running => {}
        other => bail!("the guest does not go on: {other:?}"),
    }
    hostile::nobody_fell(&mut live, &["spin"])?;
    undisturbed(&mut live, before)?;
    undisturbed(&mut live, before_end)
}
