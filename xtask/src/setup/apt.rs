// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of apt-get, each announced before it runs.

use crate::process;
use anyhow::Result;
use std::process::Command;

/// Options of every installation: nothing beyond what is asked for, and nothing is taken off the
/// machine for it.
const OPTIONS: [&str; 4] = ["install", "-y", "--no-install-recommends", "--no-remove"];

/// The command that installs `packages`, as one would type it.
pub fn install_command(packages: &[&str], suite: Option<&str>) -> String {
    let suite = suite.map_or_else(String::new, |suite| format!("-t {suite} "));
    format!("apt-get {} {suite}{}", OPTIONS.join(" "), packages.join(" "))
}

/// Whether apt would install `packages` from the package lists as they are. Any user may ask.
pub fn would_install(packages: &[&str]) -> bool {
    process::output(apt_get().arg("--simulate").args(OPTIONS).args(packages)).is_ok()
}

/// Reads the package lists. A source that cannot be reached is not our concern as long as the
/// packages are found.
pub fn update() {
    let result = process::step("setup", "apt-get update", apt_get().arg("update"));
    if let Err(error) = result {
        process::announce("setup", &format!("going on with the package lists as they are: {error}"));
    }
}

/// Installs packages, where a suite is named from that one.
pub fn install(packages: &[&str], suite: Option<&str>) -> Result<()> {
    let mut command = apt_get();
    command.args(OPTIONS);
    if let Some(suite) = suite {
        command.args(["-t", suite]);
    }
    command.args(packages);
    process::step("setup", &process::shown(&command), &mut command)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
