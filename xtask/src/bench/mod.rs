// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: what things cost, in instructions that the emulator counts, and how large
//! the core is.
//!
//! The emulator advances time by one tick per instruction, so a difference of two TSC values is a
//! number of instructions, the same in every run of one CPU. Cases of the suite print `bench NAME
//! VALUE`; of checkpoints the log says what they took; successions are asked for over the
//! operator's line, and since CPUs take turns there, the middle of several counts. Here the values
//! are collected, put into `target/bench.json` and, with `--check`, held against
//! `tests/budget.toml`.

mod budget;
mod checkpoint;
mod console;
mod runs;
pub mod succession;
mod values;

use crate::image::{self, Scope};
use crate::lint;
use crate::paths;
use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};
use std::process::ExitCode;
use values::Values;

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// Fail where a value exceeds tests/budget.toml
    #[arg(long)]
    check: bool,
    /// Only runs whose name contains one of these words (no file is written)
    names: Vec<String>,
}

/// Measures, writes, judges.
pub fn run(options: &Options) -> Result<ExitCode> {
    let selected = |name: &str| {
        options.names.is_empty() || options.names.iter().any(|word| name.contains(word.as_str()))
    };
    let runs: Vec<runs::Run> = runs::all()?.into_iter().filter(|run| selected(&run.name)).collect();
    let iso = image::build(Scope::Everything)?;
    let mut values = Values::new();
    let mut failed = Vec::new();
    for run in &runs {
        match run.measure(&iso) {
            Ok(found) => values.extend(found),
            Err(error) => failed.push(format!("{}: {error:#}", run.name)),
        }
    }
    values.extend(derived(&values));
    if options.names.is_empty() {
        let sources = lint::sources()?;
        values.insert("core_lines".to_owned(), lint::core_lines(&sources) as u64);
        // A backend that is not there yet has no lines and no budget.
        let vendors = lint::vendor_lines(&sources).into_iter().filter(|(_, lines)| *lines > 0);
        values.extend(vendors.map(|(name, lines)| (format!("{name}_lines"), lines as u64)));
        values.insert("unsafe_lines".to_owned(), lint::unsafe_lines(&sources) as u64);
        write(&values)?;
    }
    for (name, value) in &values {
        println!("{name:<36} {value:>14}");
    }
    if options.check {
        failed.extend(budget::exceeded(&values, options.names.is_empty())?);
    }
    for what in &failed {
        println!("FAILED  {what}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How far apart, in percent, the values are that must not depend on the size of memory.
fn derived(values: &Values) -> Values {
    let mut derived = Values::new();
    derived.extend(checkpoint::zero_page(values).map(|cost| ("zero_page_commit".to_owned(), cost)));
    for what in ["checkpoint_pause", "handover_blackout"] {
        let size = |name: &str| name.strip_prefix(what)?.strip_prefix('_')?.parse::<u64>().ok();
        let of_sizes = values.iter().filter(|(name, _)| size(name).is_some());
        let costs: Vec<u64> = of_sizes.map(|(_, value)| *value).collect();
        if let (Some(least), Some(most)) = (costs.iter().min(), costs.iter().max()) {
            derived.insert(format!("{what}_spread_percent"), (most - least) * 100 / (*least).max(1));
        }
    }
    derived
}

fn write(values: &Values) -> Result<()> {
    let map: Map<String, Value> =
        values.iter().map(|(name, value)| (name.clone(), Value::from(*value))).collect();
    let path = paths::in_target("bench.json");
    std::fs::write(&path, format!("{:#}\n", Value::Object(map)))?;
    println!("written: {}\n", paths::shown(&path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_pauses_is_derived() {
        let values = [("checkpoint_pause_64", 100), ("checkpoint_pause_1024", 112), ("other", 7)];
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(derived(&values).get("checkpoint_pause_spread_percent"), Some(&12));
    }
}
