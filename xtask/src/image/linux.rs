// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Linux guest: Debian's kernel as it is, and the initial file system that
//! `guests/linux/README.md` describes.

use super::stage::Stage;
use crate::bare;
use crate::cpio::Archive;
use crate::packages::{Kind, Package};
use crate::paths;
use crate::process;
use crate::setup::fetch;
use anyhow::{Context, Result};

/// The host target, named so that its flags do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Static programs: there is no dynamic linker in the guest.
const FLAGS: &str = "target.x86_64-unknown-linux-gnu.rustflags=[\"-C\",\"target-feature=+crt-static\"]";

/// Stages kernel and initial file system under the given names.
pub fn put(stage: &Stage, packages: &[Package], kernel: &str, initrd: &str) -> Result<()> {
    let parts = fetch::linux()?;
    stage.put(kernel, &std::fs::read(&parts.kernel)?)?;
    if initrd.is_empty() {
        return Ok(());
    }
    let programs: Vec<&Package> =
        packages.iter().filter(|package| package.kind == Kind::LinuxGuest).collect();
    compile(&programs)?;
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "run", "etc"] {
        archive.directory(folder, 0o755);
    }
    archive.character_device("dev/console", 0o600, (5, 1));
    let init = std::fs::read(paths::in_repo("guests/linux/init")).context("guests/linux/init")?;
    archive.file("init", 0o755, &init);
    archive.file("bin/busybox", 0o755, &std::fs::read(&parts.busybox)?);
    archive.symlink("bin/sh", "busybox");
    for name in programs.iter().flat_map(|package| &package.programs) {
        let path = paths::target().join(TARGET).join("release").join(name);
        archive.file(&format!("bin/{name}"), 0o755, &super::program::stripped(&path)?);
    }
    stage.put(initrd, &archive.finish())
}

fn compile(programs: &[&Package]) -> Result<()> {
    let mut command = bare::host_cargo();
    command.args(["build", "--release", "--target", TARGET, "--config", FLAGS]);
    for package in programs {
        command.args(["-p", &package.name]);
    }
    process::step("build", "programs of the Linux guest", &mut command)
}
