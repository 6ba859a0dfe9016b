// SPDX-License-Identifier: MIT OR Apache-2.0
//! The developer's commands: `cargo xtask COMMAND`.
//!
//! Owns the command line and the exit codes: 0 done, 1 failed, 2 something is missing on this
//! machine. Each command is a module.

#![forbid(unsafe_code)]

mod abi_page;
mod bare;
mod bench;
mod boot;
mod check;
mod cpio;
mod demo;
mod evidence;
mod example;
mod gdb;
mod graph;
mod image;
mod keys;
mod lint;
mod live;
mod operator;
mod packages;
mod paths;
mod process;
mod qemu;
mod qmp;
mod release;
mod run;
mod setup;
mod succession;
mod successor;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The developer's commands of Understudy",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check what the other commands need, and install what is missing (as root)
    Setup,
    /// Build the core, the services, the guests and the ISO (target/image)
    Build,
    /// Build a second version of the hypervisor and sign its image
    /// (target/image/successor-VERSION.usimage)
    Successor(successor::Options),
    /// Build what is handed out: the tool as a Debian package, the ISO, checksums
    /// (target/release-artefacts)
    Release,
    /// Run every test, or those whose name contains a word
    Test(test::Options),
    /// Count what things cost (target/bench.json), with --check against tests/budget.toml
    Bench(bench::Options),
    /// Format, clippy, warnings, house lints, rustdoc
    Check,
    /// Write docs/abi.md from the sources of the contract (hv/abi)
    Abi,
    /// Draw who may do what to whom, from the manifest (target/graph.svg)
    Graph(graph::Options),
    /// Boot the image once and show its console, e.g. `boot --root suite --case NAME`
    Boot(boot::Options),
    /// Run a scripted scenario and tell what happens; without a name the main job
    Demo(demo::Options),
    /// Boot the default system and stay at its console (Ctrl-A X ends it)
    Run(run::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<setup::Missing>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Setup => {
            setup::ensure()?;
            setup::fetch::linux()?;
            println!("everything that the commands need is there");
            Ok(ExitCode::SUCCESS)
        }
        Action::Build => image::build(image::Scope::Everything).map(|_| ExitCode::SUCCESS),
        Action::Successor(options) => successor::run(&options),
        Action::Release => release::run(),
        Action::Test(options) => test::run(&options),
        Action::Graph(options) => graph::run(&options),
        Action::Abi => abi_page::run(),
        Action::Demo(options) => demo::run(&options),
        Action::Bench(options) => bench::run(&options),
        Action::Check => check::run(),
        Action::Boot(options) => boot::run(&options),
        Action::Run(options) => run::run(&options),
    }
}
