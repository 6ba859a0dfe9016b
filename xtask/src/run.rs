// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask run`: the default system, with its console on this terminal and the operator's line
//! in a socket.
//!
//! The socket and the secret lie in `target/run`, where the operator's tool looks for them.

use crate::image::{self, Scope, manifest};
use crate::operator::Line;
use crate::paths;
use crate::process;
use crate::qemu::{Machine, System};
use anyhow::{Context, Result};
use clap::Args;
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
    /// The system: a name from tests/manifests [default: services/system.toml]
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// More words for the core's command line
    #[arg(long, default_value = "")]
    options: String,
    /// More arguments for QEMU
    #[arg(last = true)]
    qemu: Vec<String>,
}

/// Boots and stays until the user or the system ends it.
pub fn run(options: &Options) -> Result<ExitCode> {
    let system = match &options.system {
        // It lives as long as the program.
        Some(name) => System::Named(manifest::known(name)?.leak()),
        None => System::Default,
    };
    let iso = image::build(Scope::Everything)?;
    let line = Line::prepare(&paths::in_target("run"))?;
    let machine = Machine {
        system,
        options: format!("{} {}", line.option(), options.options).trim_end().to_owned(),
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
