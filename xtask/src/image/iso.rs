// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GRUB ISO: one for BIOS and UEFI, for the default system and for every boot test.
//!
//! What is to be booted is chosen by two SMBIOS strings, which the emulator sets and GRUB reads:
//! the *family* names the system, the *SKU* holds the core's command line. On a machine whose
//! family is not ours the default system boots with an empty command line.

use super::manifest::System;
use super::scope::Scope;
use super::stage::Stage;
use crate::paths;
use crate::process;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// SMBIOS family of the default system.
pub const SYSTEM: &str = "understudy";
/// SMBIOS family of the test suite.
pub const SUITE: &str = "understudy-suite";

/// Modules of GRUB that `grub.cfg` and the loading need; all others are left out.
const GRUB_MODULES: &str = "multiboot2 normal iso9660 smbios test echo boot configfile search all_video fat \
     part_gpt part_msdos part_acorn part_amiga part_bsd part_dfly part_dvh part_plan part_sun part_sunpc";

/// Makes the ISO if anything in it changed. Without systems it holds the test suite alone.
pub fn make(stage: &Stage, scope: Scope, systems: &[System]) -> Result<PathBuf> {
    stage.put("grub/grub.cfg", configuration(systems).as_bytes())?;
    let iso = path(scope);
    let files = stage.files()?;
    if files.iter().any(|(_, path)| super::stage::is_older(&iso, path)) {
        let mut command = Command::new("grub-mkrescue");
        command.arg("-o").arg(&iso).arg(format!("--install-modules={GRUB_MODULES}"));
        command.args(["--locales=", "--fonts=", "--themes="]).arg(stage.folder());
        process::announce("iso", &paths::shown(&iso));
        process::quiet(&mut command)?;
    }
    Ok(iso)
}

/// Where the ISO lies.
pub fn path(scope: Scope) -> PathBuf {
    paths::in_target(match scope {
        Scope::Suite => "image/suite.iso",
        Scope::Everything => "image/understudy.iso",
        Scope::Release => "image/understudy-release.iso",
    })
}

const HEAD: &str = "\
set timeout=0
set family=
set options=
smbios --type 1 --get-string 0x1a --set family
if [ \"$family\" = understudy -o \"$family\" = understudy-suite SYSTEMS]; then
  smbios --type 1 --get-string 0x19 --set options
fi
multiboot2 /boot/understudy $options
if [ \"$family\" = understudy-suite ]; then
  module2 --nounzip /boot/suite root
";

fn configuration(systems: &[System]) -> String {
    let named = systems.iter().filter(|system| !system.name.is_empty());
    let others: String = named.map(|system| format!("-o \"$family\" = {} ", family(system))).collect();
    let mut text = HEAD.replace("SYSTEMS", &others);
    for system in systems.iter().rev() {
        if system.name.is_empty() {
            text.push_str("else\n");
        } else {
            text.push_str(&format!("elif [ \"$family\" = {} ]; then\n", family(system)));
        }
        module(&mut text, "root", "root");
        module(&mut text, "services", "services");
        module(&mut text, &system.file(), "manifest");
        system.guest_modules().iter().for_each(|name| module(&mut text, name, name));
    }
    text.push_str("fi\nboot\n");
    text
}

/// SMBIOS family of a system.
fn family(system: &System) -> String {
    format!("{SYSTEM}-{}", system.name)
}

fn module(text: &mut String, file: &str, name: &str) {
    text.push_str(&format!("  module2 --nounzip /boot/{file} {name}\n"));
}
