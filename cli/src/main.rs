// SPDX-License-Identifier: MIT OR Apache-2.0
//! `understudy`: the operator's tool.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use understudy_cli::Arguments;

fn main() -> ExitCode {
    match understudy_cli::run(&Arguments::parse(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}
