// SPDX-License-Identifier: MIT OR Apache-2.0
//! Non-maskable interrupts of the machine while a guest runs: neither the core nor the guest minds.
//!
//! The emulator's control socket sends them. Machine checks are not here: the emulator does not intercept them
//! (`docs/caveats.md`).

use super::{boot_system, hostile, undisturbed};
use crate::operator::VmConsole;
use crate::qemu::Machine;
use anyhow::{Context, Result, bail};
use api::vmm::{Reply, Request, State};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How many are sent: nearly all of them hit the guest, which does nothing but compute.
const TIMES: usize = 50;

/// All CPUs get many NMIs; the one whose guest never exits by itself, too.
pub fn in_guest(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let socket = log.with_extension("qmp");
    let mut machine = machine.clone();
    machine.extra.extend(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
    let mut live = boot_system("interrupted", &machine, iso, log)?;
    let mut spin = VmConsole::of("spin");
    live.wait_guest(&mut spin, "hostile: spin")?;
    let before = live.beat_after(0)?;
    let mut monitor = Monitor::open(&socket)?;
    for _ in 0..TIMES {
        monitor.execute("inject-nmi")?;
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

/// The emulator's control socket (QMP).
struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    fn open(socket: &Path) -> Result<Monitor> {
        let stream = UnixStream::connect(socket).context("the emulator's control socket")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut monitor = Monitor { stream: BufReader::new(stream) };
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    /// Executes a command; what comes before its answer (the greeting, events) is passed over.
    fn execute(&mut self, command: &str) -> Result<()> {
        writeln!(self.stream.get_mut(), "{{\"execute\":\"{command}\"}}")?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the emulator's control socket was closed");
            }
            let answer: serde_json::Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            if answer.get("return").is_some() {
                return Ok(());
            }
        }
    }
}
