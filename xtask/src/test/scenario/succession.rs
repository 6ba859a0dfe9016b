// SPDX-License-Identifier: MIT OR Apache-2.0
//! Successions on running machines: there and back, again and again.

use super::boot_system;
use crate::demo::succession::{FIRST, NEXT};
use crate::image::successor;
use crate::live::Live;
use crate::qemu::Machine;
use crate::succession;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// The images of the two versions, for the system of a manifest.
pub struct Images {
    next: Vec<u8>,
    first: Vec<u8>,
}

impl Images {
    /// Builds them.
    pub fn of(system: &str) -> Result<Images> {
        let make =
            |version| -> Result<Vec<u8>> { Ok(std::fs::read(successor::make(version, system)?.path)?) };
        Ok(Images { next: make(NEXT)?, first: make(FIRST)? })
    }
}

/// One succession to the next version, one back to the first; the machine is then as before.
fn there_and_back(live: &mut Live, images: &Images) -> Result<()> {
    let before = succession::inventory(live)?;
    succession::succeed(live, &images.next, NEXT, &debug).context("to the next version")?;
    let between = succession::inventory(live)?;
    succession::succeed(live, &images.first, FIRST, &debug).context("back to the first version")?;
    let after = succession::inventory(live)?;
    for inventory in [&between, &after] {
        if inventory.memory_bytes != before.memory_bytes || inventory.apic_ids.len() != before.apic_ids.len()
        {
            bail!("the machine was {before:?}, and is {inventory:?}");
        }
    }
    Ok(())
}

/// CPUs, memory and lines change hands on a machine that runs no VM.
pub fn without_vms(machine: &Machine, iso: &Path, log: &Path) -> Result<()> {
    let images = Images::of("succession-bare")?;
    let mut live = boot_system("succession-bare", machine, iso, log)?;
    live.wait_line("root: ready")?;
    there_and_back(&mut live, &images)
}
fn debug(text: &str) {
    eprintln!("{:?} {text}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
}
