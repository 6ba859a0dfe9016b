// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs for the bare machine, as cargo leaves them and as images hold them.

use super::edition;
use super::stage::is_older;
use crate::bare;
use crate::paths;
use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo leaves a bare-metal program.
pub fn built(name: &str) -> PathBuf {
    in_folder(paths::target(), name)
}

/// The same of a build that goes to another folder.
pub fn in_folder(folder: &Path, name: &str) -> PathBuf {
    folder.join(bare::TARGET).join("release").join(name)
}

/// The program without debugging information, which stays in cargo's copy.
pub fn stripped(from: &Path) -> Result<Vec<u8>> {
    let name = from.file_name().context("a program has a name")?;
    // Of a program there are two kinds, and the one that was built first may be wanted last.
    let folder =
        paths::in_target(if edition::injects_faults() { "image/stripped-tests" } else { "image/stripped" });
    std::fs::create_dir_all(&folder)?;
    let to = folder.join(name);
    if is_older(&to, from) {
        process::quiet(Command::new("strip").args(["--strip-debug", "-o"]).arg(&to).arg(from))?;
    }
    std::fs::read(&to).with_context(|| format!("cannot read {}", paths::shown(&to)))
}
