// SPDX-License-Identifier: MIT OR Apache-2.0
//! The developer's commands: `cargo xtask COMMAND`.
//!
//! Owns the command line and the exit codes: 0 done, 1 failed, 2 something is missing on this machine. Each command
//! is a module.

mod bare;
mod boot;
mod cpio;
mod image;
mod packages;
mod paths;
mod process;
mod qemu;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The developer's commands of Understudy",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the core, the services, the guests and the ISO (target/image)
    Build,
    /// Boot the image once and show its console, e.g. `boot --root suite --case NAME`
    Boot(boot::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Build => image::build(image::Scope::Everything).map(|_| ExitCode::SUCCESS),
        Action::Boot(options) => boot::run(&options),
    }
}
