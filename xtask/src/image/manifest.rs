// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systems that the ISO can boot: `services/system.toml`, and one more for each file in
//! `tests/manifests`.
//!
//! Owns the names of boot modules on the ISO. What a manifest means is the concern of
//! `api::manifest`.

use crate::paths;
use anyhow::{Context, Result, anyhow, bail};
use api::environment::VmKind;
use api::manifest::{Manifest, source};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A system that can be booted.
pub struct System {
    /// Its name; empty for the default system.
    pub name: String,
    /// The system as data.
    pub manifest: Manifest,
}

/// A Linux guest's boot modules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinuxModules {
    /// The kernel's module.
    pub kernel: String,
    /// The initial file system's module; may be empty.
    pub initrd: String,
}

impl System {
    /// File name of its manifest under `/boot`.
    pub fn file(&self) -> String {
        if self.name.is_empty() { "manifest".to_owned() } else { format!("manifest-{}", self.name) }
    }

    /// Boot modules that its VMs need.
    pub fn guest_modules(&self) -> BTreeSet<String> {
        source::files(&self.manifest).1
    }

    /// Modules of its Linux guests.
    pub fn linux_modules(&self) -> Vec<LinuxModules> {
        let vms = self.manifest.partitions.iter().filter_map(|partition| partition.vm.as_ref());
        let linux = vms.filter(|vm| vm.kind == VmKind::Linux);
        linux.map(|vm| LinuxModules { kernel: vm.kernel.clone(), initrd: vm.initrd.clone() }).collect()
    }
}

/// All systems, the default one first. Fails where a manifest names an image that no service
/// builds.
pub fn systems(images: &[String]) -> Result<Vec<System>> {
    let mut systems = vec![read(&paths::in_repo("services/system.toml"), "")?];
    for path in test_manifests()? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        systems.push(read(&path, &name)?);
    }
    for system in &systems {
        for image in source::files(&system.manifest).0 {
            if !images.contains(&image) {
                bail!("{}: no service builds the program `{image}`", system.file());
            }
        }
    }
    Ok(systems)
}

/// The default system.
pub fn default_system() -> Result<System> {
    read(&paths::in_repo("services/system.toml"), "")
}

/// The name of a system in `tests/manifests`; an error names those that there are.
pub fn known(name: &str) -> Result<String> {
    let paths = test_manifests()?;
    let stems = paths.iter().filter_map(|path| path.file_stem()?.to_str());
    let names: Vec<&str> = stems.collect();
    match names.iter().find(|known| **known == name) {
        Some(known) => Ok((*known).to_owned()),
        None => bail!("there is no system `{name}`; tests/manifests has {}", names.join(", ")),
    }
}

fn test_manifests() -> Result<Vec<PathBuf>> {
    let folder = paths::in_repo("tests/manifests");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path, name: &str) -> Result<System> {
    let shown = paths::shown(path);
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    // The operator's secret comes by the core's command line, so that one image serves every boot.
    let manifest = source::read(&text, None).map_err(|error| anyhow!("{shown}, {error}"))?;
    Ok(System { name: name.to_owned(), manifest })
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn a_system_that_is_not_there_is_refused_with_those_that_are() {
        assert_eq!(known("succession").unwrap(), "succession");
        let error = known("nosuch").unwrap_err().to_string();
        assert!(error.contains("`nosuch`") && error.contains("hostile-hogs"), "{error}");
    }
}
