// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prerequisites: what the other commands need on this machine, and how it gets there.
//!
//! With root what is missing is installed from Debian's archive, each step announced; without root
//! it is listed with the command that installs it, and the exit code is 2. Nothing is downloaded
//! from anywhere but the package sources that the machine has.

mod apt;
mod backports;
pub mod fetch;

use crate::bare::Route;
use crate::process;
use crate::qemu::UEFI_FIRMWARE;
use anyhow::Result;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// The oldest QEMU whose SVM emulation is known to do.
const OLDEST_QEMU: (u32, u32) = (7, 2);

/// One thing that must be on the machine.
struct Prerequisite {
    what: &'static str,
    packages: &'static [&'static str],
    is_there: fn() -> bool,
}

const PREREQUISITES: &[Prerequisite] = &[
    Prerequisite {
        what: "QEMU for x86-64, version 7.2 or newer",
        packages: &["qemu-system-x86", "seabios"],
        is_there: qemu_is_there,
    },
    Prerequisite { what: "UEFI firmware for QEMU", packages: &["ovmf"], is_there: || exists(UEFI_FIRMWARE) },
    Prerequisite { what: "grub-mkrescue", packages: &["grub-common"], is_there: || program("grub-mkrescue") },
    Prerequisite {
        what: "GRUB for BIOS",
        packages: &["grub-pc-bin"],
        is_there: || exists("/usr/lib/grub/i386-pc/multiboot2.mod"),
    },
    Prerequisite {
        what: "GRUB for UEFI",
        packages: &["grub-efi-amd64-bin"],
        is_there: || exists("/usr/lib/grub/x86_64-efi/multiboot2.mod"),
    },
    Prerequisite {
        what: "xorriso (writes the ISO)",
        packages: &["xorriso"],
        is_there: || program("xorriso"),
    },
    Prerequisite {
        what: "mtools (UEFI part of the ISO)",
        packages: &["mtools"],
        is_there: || program("mformat"),
    },
    Prerequisite {
        what: "linker and binary tools",
        packages: &["binutils"],
        is_there: || program("ld") && program("strip"),
    },
    Prerequisite {
        what: "Rust's bare-metal library (or: rustup target add x86_64-unknown-none)",
        packages: &["rustc-web", "cargo-web", "rust-web-src"],
        is_there: || Route::find().is_some(),
    },
];

/// Prerequisites that are missing and that this user may not install. Shown as the list and the
/// command.
#[derive(Debug)]
pub struct Missing {
    prerequisites: Vec<&'static Prerequisite>,
    /// What root types to install them, one command per line.
    commands: Vec<String>,
}

impl fmt::Debug for Prerequisite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "this machine lacks:")?;
        for prerequisite in &self.prerequisites {
            writeln!(formatter, "  - {}: {}", prerequisite.what, prerequisite.packages.join(" "))?;
        }
        write!(formatter, "as root, install it by:")?;
        self.commands.iter().try_for_each(|command| write!(formatter, "\n  {command}"))
    }
}

impl std::error::Error for Missing {}

/// Checks every prerequisite and installs what is missing, or fails with [`Missing`].
pub fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || process::find("apt-get").is_none() {
        return Err(refuse(missing).into());
    }
    for prerequisite in &missing {
        process::announce(
            "setup",
            &format!("missing: {} ({})", prerequisite.what, prerequisite.packages.join(" ")),
        );
    }
    apt::update();
    install(&missing)?;
    let still: Vec<_> = self::missing();
    if still.is_empty() { Ok(()) } else { Err(refuse(still).into()) }
}

fn missing() -> Vec<&'static Prerequisite> {
    PREREQUISITES.iter().filter(|prerequisite| !(prerequisite.is_there)()).collect()
}

/// What this user may not install, with the commands that work: those of [`install`].
fn refuse(missing: Vec<&'static Prerequisite>) -> Missing {
    let (emulator, _) = parts(&missing);
    let plan =
        if emulator.is_empty() || apt::would_install(&emulator) { None } else { backports::plan().ok() };
    let commands = commands(&missing, plan.as_ref());
    Missing { prerequisites: missing, commands }
}

fn commands(missing: &[&'static Prerequisite], plan: Option<&backports::Plan>) -> Vec<String> {
    let Some(plan) = plan else {
        let all = apt::install_command(&packages_of(missing), None);
        return vec!["apt-get update".to_owned(), all];
    };
    let (emulator, others) = parts(missing);
    let mut commands: Vec<String> = plan.command().into_iter().collect();
    commands.push("apt-get update".to_owned());
    commands.push(apt::install_command(&emulator, Some(&plan.suite)));
    if !others.is_empty() {
        commands.push(apt::install_command(&others, None));
    }
    commands
}

/// The packages of the emulator, and the others.
fn parts(missing: &[&'static Prerequisite]) -> (Vec<&'static str>, Vec<&'static str>) {
    let is_emulator = |name: &&str| name.contains("qemu") || *name == "ovmf" || *name == "seabios";
    packages_of(missing).into_iter().partition(is_emulator)
}

/// QEMU and its firmware go apart from the rest, since they may have to come from backports.
fn install(missing: &[&'static Prerequisite]) -> Result<()> {
    let (emulator, others) = parts(missing);
    if !emulator.is_empty() && apt::install(&emulator, None).is_err() {
        let suite = backports::enable()?;
        apt::update();
        apt::install(&emulator, Some(&suite))?;
    }
    if others.is_empty() { Ok(()) } else { apt::install(&others, None) }
}

fn packages_of(prerequisites: &[&'static Prerequisite]) -> Vec<&'static str> {
    prerequisites.iter().flat_map(|prerequisite| prerequisite.packages).copied().collect()
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|data| data.uid() == 0)
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

fn program(name: &str) -> bool {
    process::find(name).is_some()
}

fn qemu_is_there() -> bool {
    let text = process::output(Command::new("qemu-system-x86_64").arg("--version"));
    text.ok().and_then(|text| qemu_version(&text)).is_some_and(|found| found >= OLDEST_QEMU)
}

fn qemu_version(text: &str) -> Option<(u32, u32)> {
    let after = text.split("version ").nth(1)?;
    let mut numbers = after.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_qemu() {
        assert_eq!(qemu_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"), Some((10, 0)));
        assert_eq!(qemu_version("QEMU emulator version 7.2.22 (Debian)"), Some((7, 2)));
        assert_eq!(qemu_version("something else"), None);
    }

    #[test]
    fn what_is_missing_is_named_with_its_command() {
        let prerequisites: Vec<_> = PREREQUISITES.iter().collect();
        let commands = commands(&prerequisites, None);
        let text = Missing { prerequisites, commands }.to_string();
        assert!(text.contains("  - GRUB for BIOS: grub-pc-bin"));
        assert!(text.contains("apt-get install -y --no-install-recommends --no-remove qemu-system-x86"));
    }

    #[test]
    fn an_emulator_from_backports_is_installed_apart() {
        let missing: Vec<_> = PREREQUISITES.iter().collect();
        let plan = backports::Plan::known("bookworm-backports");
        let commands = commands(&missing, Some(&plan));
        assert_eq!(commands.len(), 3, "{commands:?}");
        assert!(commands[1].contains("-t bookworm-backports qemu-system-x86 seabios ovmf"), "{commands:?}");
        assert!(!commands[2].contains("qemu"), "{commands:?}");
    }
}
