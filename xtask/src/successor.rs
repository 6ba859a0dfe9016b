// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask successor`: a second version of the hypervisor, as one signed image.

use crate::image::successor::{self, NEXT};
use crate::paths;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// The version that it says it is
    #[arg(long, default_value = NEXT)]
    version: String,
    /// The system whose manifest it gets: a name from tests/manifests [default:
    /// services/system.toml]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    system: String,
}

/// Makes it and says what it is.
pub fn run(options: &Options) -> Result<ExitCode> {
    let made = successor::make(&options.version, &options.system)?;
    let header = &made.header;
    println!("image     {}", paths::shown(&made.path));
    println!("version   {} (exchanges the machine with {} and newer)", header.version, header.oldest_peer);
    println!(
        "speaks    contract {}, saved state {}, protocol of succession {}",
        header.contract, header.state, header.protocol
    );
    println!("bytes     {}", made.bytes);
    println!("digest    {}", made.digest);
    for (name, bytes) in &made.parts {
        println!("  {name:<24} {bytes:>9}");
    }
    Ok(ExitCode::SUCCESS)
}
