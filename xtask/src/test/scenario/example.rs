// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service of `docs/write-a-service.md` is built as it stands on the page, and boots as
//! partitions of a small system.

use crate::cpio::Archive;
use crate::example;
use crate::image::{self, program};
use crate::paths;
use crate::process;
use crate::qemu::Machine;
use crate::test::lines::says;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(180);

/// The log; the rest of the system is what the page adds.
const CONSOLE: &str = "[[service]]\nname = \"console\"\npriority = 200\nheap = \"2 MiB\"\nports = [\"0x3f8-0x3ff\"]\n\
                       calls = [\"root\"]\n\n";

const CONFIGURATION: &str = "set timeout=0\nmultiboot2 /boot/understudy\nmodule2 --nounzip /boot/root root\n\
                             module2 --nounzip /boot/services services\nmodule2 --nounzip /boot/manifest manifest\nboot\n";

/// Builds, boots, and waits for what the page says is in the log.
pub fn boots(machine: &Machine, _iso: &Path, log: &Path) -> Result<()> {
    let example = example::build()?;
    let iso = image_of(&example)?;
    let mut running = machine.start(&iso, log)?;
    let lines = [
        "[tally] 1 may call",
        "[visitor] the tally is 1",
        "[visitor] the tally is 2",
        "[sleeper] stroke 1",
        "[sleeper] stroke 2",
    ];
    let deadline = running.deadline(LIMIT);
    says(&mut running, &deadline, &lines.map(str::to_owned))
}

/// An ISO with the core, root, the console and the programs.
fn image_of(example: &example::Example) -> Result<PathBuf> {
    let stage = image::stage::Stage::open("iso-example")?;
    stage.put("understudy", &program::stripped(&program::built("understudy"))?)?;
    stage.put("root", &program::stripped(&program::built("root"))?)?;
    let mut services = Archive::default();
    services.file("console", 0o755, &program::stripped(&program::built("console"))?);
    for program in &example.programs {
        let name = program.file_name().and_then(|name| name.to_str()).context("a program has a name")?;
        services.file(name, 0o755, &program::stripped(program)?);
    }
    stage.put("services", &services.finish())?;
    let manifest = format!("{CONSOLE}{}", example.manifest);
    stage.put("manifest", &api::manifest::source::compile(&manifest, None)?)?;
    stage.put("grub/grub.cfg", CONFIGURATION.as_bytes())?;
    let iso = paths::in_target("image/example.iso");
    let mut command = Command::new("grub-mkrescue");
    process::quiet(
        command.arg("-o").arg(&iso).args(["--locales=", "--fonts=", "--themes="]).arg(stage.folder()),
    )?;
    Ok(iso)
}
