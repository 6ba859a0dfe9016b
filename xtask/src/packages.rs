// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workspace's packages by what they are: the core, services, guests, host code.
//!
//! A package's kind follows from its folder, so that a new service or guest needs no line here.

use crate::bare;
use crate::paths;
use crate::process;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bootable image and the crates under `hv/`.
    Core,
    /// A service, or a crate that services share.
    Service,
    /// A guest without an operating system, or a crate that such guests share.
    Guest,
    /// A program inside the Linux guest.
    LinuxGuest,
    /// Runs on the developer's machine.
    Host,
}

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name for cargo.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Its programs.
    pub programs: Vec<String>,
    /// Whether it has a library.
    pub library: bool,
    /// Whether that library has tests for the host: true unless its manifest says `test = false`.
    pub tested_library: bool,
    /// Whether plain `cargo build` on the host covers it.
    pub default_member: bool,
}

impl Package {
    /// Whether it is a program for the bare machine.
    pub fn is_bare_program(&self) -> bool {
        !self.programs.is_empty()
            && match self.kind {
                Kind::Core => self.name == "understudy",
                Kind::Service | Kind::Guest => true,
                Kind::Host | Kind::LinuxGuest => false,
            }
    }
}

/// All packages, in the order in which cargo names them.
pub fn all() -> Result<Vec<Package>> {
    let mut command = bare::host_cargo();
    let text = process::output(command.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let default_members = strings(&metadata["workspace_default_members"]);
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages.iter().map(|package| read(package, &default_members)).collect())
}

fn read(package: &Value, default_members: &[String]) -> Package {
    let folder = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
    let folder = folder.parent().map(PathBuf::from).unwrap_or_default();
    let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_kind = |kind: &str| {
        let matching =
            targets.iter().filter(|target| strings(&target["kind"]).iter().any(|found| found == kind));
        matching.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    Package {
        name: package["name"].as_str().unwrap_or_default().to_owned(),
        kind: kind_of(&folder),
        programs: of_kind("bin"),
        library: !of_kind("lib").is_empty(),
        tested_library: targets.iter().any(|target| {
            target["test"].as_bool() == Some(true)
                && strings(&target["kind"]).iter().any(|kind| kind == "lib")
        }),
        default_member: package["id"]
            .as_str()
            .is_some_and(|id| default_members.iter().any(|member| member == id)),
    }
}

fn kind_of(folder: &std::path::Path) -> Kind {
    let relative = folder.strip_prefix(paths::repo()).unwrap_or(folder);
    if relative.starts_with("guests/linux") {
        return Kind::LinuxGuest;
    }
    match relative.iter().next().and_then(|part| part.to_str()) {
        None | Some("hv") => Kind::Core,
        Some("services") => Kind::Service,
        Some("guests") => Kind::Guest,
        Some(_) => Kind::Host,
    }
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
