// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask run`: the default system, with its console on this terminal and the operator's line in a socket.
//!
//! The socket and the secret lie in `target/run`, where the operator's tool looks for them.

use crate::image::{self, Scope};
use crate::paths;
use crate::process;
use crate::qemu::Machine;
use anyhow::{Context, Result};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// CPUs
    #[arg(long, default_value_t = 4)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// CPU model of QEMU
    #[arg(long, default_value = "max")]
    cpu: String,
    /// Boot by UEFI
    #[arg(long)]
    uefi: bool,
    /// More words for the core's command line
    #[arg(long, default_value = "")]
    options: String,
    /// More arguments for QEMU
    #[arg(last = true)]
    qemu: Vec<String>,
}

/// The operator's end of a running system.
pub struct OperatorLine {
    /// The socket.
    pub socket: PathBuf,
    /// The file with the secret, readable by this user alone.
    pub secret_file: PathBuf,
    /// The secret in hex, as on the core's command line.
    pub secret: String,
}

/// Prepares socket and secret in `folder`.
pub fn operator_line(folder: &Path) -> Result<OperatorLine> {
    std::fs::create_dir_all(folder)?;
    let mut random = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("no /dev/urandom")?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret_file = folder.join("secret");
    let _ = std::fs::remove_file(&secret_file);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret_file)?;
    writeln!(file, "{secret}")?;
    Ok(OperatorLine { socket: folder.join("operator.sock"), secret_file, secret })
}

/// Boots and stays until the user or the system ends it.
pub fn run(options: &Options) -> Result<ExitCode> {
    let iso = image::build(Scope::Everything)?;
    let line = operator_line(&paths::in_target("run"))?;
    let machine = Machine {
        options: format!("operator-secret={} {}", line.secret, options.options).trim_end().to_owned(),
        cpus: options.cpus,
        memory_mib: options.memory,
        cpu: options.cpu.clone(),
        uefi: options.uefi,
        operator_socket: Some(line.socket.clone()),
        extra: options.qemu.clone(),
        ..Machine::default()
    };
    let mut command = machine.command(&iso);
    command.args(["-serial", "mon:stdio"]);
    machine.add_operator_line(&mut command);
    process::announce("run", &format!("operator's line: {}", paths::shown(&line.socket)));
    process::announce("", &format!("its secret:      {}", paths::shown(&line.secret_file)));
    process::announce("", "in another terminal: cargo run -q -p understudy-cli -- ps");
    process::announce("", "Ctrl-A X ends the machine, Ctrl-A H shows the other keys");
    let status = command.status().context("cannot start qemu-system-x86_64")?;
    let _ = std::fs::remove_file(&line.socket);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
