// SPDX-License-Identifier: MIT OR Apache-2.0
//! `completions` and `man`: made from the command line's own description.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Arguments, Failure};

/// Prints a completion script.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "understudy", &mut script);
    Ok(out.write_all(&script)?)
}

/// Prints the main page, or writes all pages to a folder.
pub fn man(folder: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    match folder {
        None => Ok(clap_mangen::Man::new(Arguments::command()).render(out)?),
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
            .map_err(|error| Failure::refused(format!("cannot write to {}: {error}", folder.display()))),
    }
}
