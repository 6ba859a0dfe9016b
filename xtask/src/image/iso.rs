// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GRUB ISO: one for BIOS and UEFI, for the default system and for every boot test.
//!
//! What is to be booted is chosen by two SMBIOS strings, which the emulator sets and GRUB reads: the *family* names
//! the system, the *SKU* holds the core's command line. On a machine whose family is not ours the default system
//! boots with an empty command line.

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

/// Makes the ISO if anything in it changed.
pub fn make(stage: &Stage) -> Result<PathBuf> {
    stage.put("grub/grub.cfg", configuration(stage)?.as_bytes())?;
    let iso = paths::in_target("image/understudy.iso");
    let files = stage.files()?;
    if files.iter().any(|(_, path)| super::is_older(&iso, path)) {
        let mut command = Command::new("grub-mkrescue");
        command.arg("-o").arg(&iso).arg(format!("--install-modules={GRUB_MODULES}"));
        command.args(["--locales=", "--fonts=", "--themes="]).arg(stage.folder());
        process::announce("iso", &paths::shown(&iso));
        process::quiet(&mut command)?;
    }
    Ok(iso)
}

fn configuration(stage: &Stage) -> Result<String> {
    let names: Vec<String> = stage.files()?.into_iter().map(|(name, _)| name).collect();
    let guests: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.starts_with("guest/")).collect();
    let small: Vec<&str> = guests.iter().copied().filter(|name| !name.starts_with("guest/linux/")).collect();
    let mut text = String::from(HEAD);
    text.push_str("if [ \"$family\" = understudy-suite ]; then\n");
    text.push_str("  multiboot2 /boot/understudy $options\n");
    module(&mut text, "suite", "root");
    small.iter().for_each(|name| module(&mut text, name, name));
    text.push_str("else\n  multiboot2 /boot/understudy $options\n");
    let system =
        names.iter().map(String::as_str).filter(|name| ["root", "services", "manifest"].contains(name));
    system.chain(guests.iter().copied()).for_each(|name| module(&mut text, name, name));
    text.push_str("fi\nboot\n");
    Ok(text)
}

const HEAD: &str = "\
set timeout=0
set family=
set options=
smbios --type 1 --get-string 0x1a --set family
if [ \"$family\" = understudy -o \"$family\" = understudy-suite ]; then
  smbios --type 1 --get-string 0x19 --set options
fi
";

fn module(text: &mut String, file: &str, name: &str) {
    text.push_str(&format!("  module2 --nounzip /boot/{file} {name}\n"));
}
