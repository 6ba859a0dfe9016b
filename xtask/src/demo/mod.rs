// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`: scripted scenarios that show a promise being kept, with the evidence.
//!
//! Owns the list of scenarios and the report's place. Each scenario is a module that boots a
//! system, tells what happens as it happens, and returns a report and a verdict.

pub mod checkpoint;
pub mod report;
pub mod succession;

use crate::paths;
use anyhow::{Result, bail};
use clap::Args;
use std::process::ExitCode;

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// The scenario: `checkpoint` is the main job
    #[arg(default_value = "checkpoint")]
    name: String,
    /// Show everything that the machine's console says
    #[arg(long)]
    verbose: bool,
}

/// Runs a scenario; ends 0 if all that it promises held.
pub fn run(options: &Options) -> Result<ExitCode> {
    let report = match options.name.as_str() {
        "checkpoint" => checkpoint::run(options.verbose)?,
        "succession" => succession::run(options.verbose)?,
        other => bail!("there is no demo `{other}`; there are: checkpoint, succession"),
    };
    let path = paths::in_target("demo").join(&options.name).join("report.json");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, format!("{:#}\n", report.values))?;
    println!("\nreport: {}", paths::shown(&path));
    if report.broken.is_empty() {
        println!("result: everything held");
        return Ok(ExitCode::SUCCESS);
    }
    for what in &report.broken {
        println!("result: NOT held: {what}");
    }
    Ok(ExitCode::FAILURE)
}
