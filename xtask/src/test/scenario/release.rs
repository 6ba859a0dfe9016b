// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `cargo xtask release` hands out works: the package installs a tool that runs, the ISO
//! boots.

use crate::process;
use crate::qemu::Machine;
use crate::release;
use crate::test::lines::says;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
/// What must be in the package.
const FILES: [&str; 5] = [
    "usr/bin/understudy",
    "usr/share/man/man1/understudy.1.gz",
    "usr/share/man/man1/understudy-ps.1.gz",
    "usr/share/bash-completion/completions/understudy",
    "usr/share/doc/understudy/copyright",
];

/// Makes a release, and tries each of its parts.
pub fn works(machine: &Machine, _: &Path, log: &Path) -> Result<()> {
    let made = release::make()?;
    process::quiet(
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&made.folder),
    )?;
    let about = process::output(Command::new("dpkg-deb").arg("-I").arg(&made.package))?;
    for field in ["Package: understudy", "Architecture: amd64", "Depends: libc6 (>= "] {
        if !about.contains(field) {
            bail!("the package does not say `{field}`:\n{about}");
        }
    }
    let tree = log.with_extension("deb");
    let _ = std::fs::remove_dir_all(&tree);
    process::quiet(Command::new("dpkg").arg("-x").arg(&made.package).arg(&tree))?;
    if let Some(file) = FILES.iter().find(|file| !tree.join(file).is_file()) {
        bail!("the package lacks {file}");
    }
    process::quiet(Command::new("gzip").arg("--test").arg(tree.join(FILES[1])))?;
    let version = process::output(Command::new(tree.join(FILES[0])).arg("--version"))?;
    if version.trim() != format!("understudy {}", env!("CARGO_PKG_VERSION")) {
        bail!("the tool says that it is {version}");
    }
    let mut running = machine.start(&made.iso, log)?;
    let deadline = running.deadline(LIMIT);
    says(&mut running, &deadline, &["root: all services run".to_owned()]).context("the ISO of the release")
}
