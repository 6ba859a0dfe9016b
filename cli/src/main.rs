// SPDX-License-Identifier: MIT OR Apache-2.0
//! `understudy`: the operator's tool.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use understudy_cli::{Arguments, Failure, interrupt};

fn main() -> ExitCode {
    interrupt::listen();
    let words: Vec<_> = std::env::args_os().collect();
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => help.exit(),
        // No value of an option is read here: a mistake that cannot be understood may hide where
        // they are.
        Err(mistake) if words.iter().any(|word| word == "--json") => {
            let text = mistake.to_string();
            let what = text.trim_start_matches("error: ").trim_end();
            return report(&Failure::unreachable(what), true);
        }
        Err(mistake) => mistake.exit(),
    };
    match understudy_cli::run(&arguments, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure, arguments.json),
    }
}

fn report(failure: &Failure, json: bool) -> ExitCode {
    match failure.code() {
        0 => {}
        _ if json => eprintln!("{}", failure.json()),
        _ => eprint!("{failure}"),
    }
    ExitCode::from(failure.code())
}
