// SPDX-License-Identifier: MIT OR Apache-2.0
//! The emulator's control socket (QMP): what a test does to the machine from outside, or looks at
//! there.

use crate::qemu::Machine;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A connection to the socket.
pub struct Monitor {
    stream: BufReader<UnixStream>,
}

/// Gives a machine that is about to be started a control socket, beside its log; where it will be.
pub fn socket_for(machine: &mut Machine, log: &Path) -> PathBuf {
    let socket = log.with_extension("qmp");
    machine.extra.extend(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", socket.display())]);
    socket
}

impl Monitor {
    /// Connects.
    pub fn open(socket: &Path) -> Result<Monitor> {
        let stream = UnixStream::connect(socket).context("the emulator's control socket")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut monitor = Monitor { stream: BufReader::new(stream) };
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Executes a command and returns what it returns; what comes before that (the greeting,
    /// events) is passed over.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        writeln!(self.stream.get_mut(), "{}", json!({ "execute": command, "arguments": arguments }))?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the emulator's control socket was closed");
            }
            let mut answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Executes a command of the emulator's monitor for people; what it prints.
    pub fn human(&mut self, line: &str) -> Result<String> {
        let said = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        said.as_str().map(str::to_owned).with_context(|| format!("{line}: no text"))
    }
}
