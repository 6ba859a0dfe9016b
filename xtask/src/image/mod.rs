// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bootable image: everything that is built for the emulated machine, collected under
//! `target/image`.
//!
//! Owns which programs go into which boot module. The ISO around them is `iso`; the Linux guest's
//! parts are `linux`; who may do what at run time is the manifest, compiled by the crate that
//! defines it.

pub mod edition;
pub mod iso;
mod linux;
pub mod manifest;
pub mod program;
mod scope;
pub mod stage;
pub mod successor;

pub use scope::Scope;

use crate::bare::Route;
use crate::cpio::Archive;
use crate::packages::{self, Kind, Package};
use crate::paths;
use crate::process;
use crate::setup;
use anyhow::{Result, bail};
use edition::Edition;
use manifest::System;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Builds what `scope` asks for; returns the ISO.
pub fn build(scope: Scope) -> Result<PathBuf> {
    setup::ensure()?;
    let packages = packages::all()?;
    let wanted: Vec<&Package> = packages.iter().filter(|package| is_wanted(package, scope)).collect();
    compile(&wanted, &Edition::current()?, paths::target())?;
    let stage = stage::Stage::open(match scope {
        Scope::Suite => "iso-suite",
        Scope::Everything => "iso",
        Scope::Release => "iso-release",
    })?;
    put_programs(&stage, &wanted, scope)?;
    let systems = if scope == Scope::Suite { Vec::new() } else { put_systems(&stage, &packages, scope)? };
    iso::make(&stage, scope, &systems)
}

/// Stages manifests, and the Linux guests that they name.
fn put_systems(stage: &stage::Stage, packages: &[Package], scope: Scope) -> Result<Vec<System>> {
    let services = packages.iter().filter(|package| package.kind == Kind::Service);
    let images: Vec<String> = services.flat_map(|package| package.programs.clone()).collect();
    let mut systems = manifest::systems(&images)?;
    systems.retain(|system| scope != Scope::Release || system.name.is_empty());
    let linux: BTreeSet<_> = systems.iter().flat_map(System::linux_modules).collect();
    for modules in &linux {
        linux::put(stage, packages, &modules.kernel, &modules.initrd)?;
    }
    for system in &systems {
        stage.put(&system.file(), &system.manifest.encode())?;
        for module in system.guest_modules() {
            if !stage.has(&module) {
                bail!("{}: nothing builds the boot module `{module}`", system.file());
            }
        }
    }
    Ok(systems)
}

fn is_wanted(package: &Package, scope: Scope) -> bool {
    let wanted = match (scope, package.name.as_str()) {
        (Scope::Suite, "understudy" | "understudy-suite") | (Scope::Everything, _) => true,
        (Scope::Release, name) => name != "understudy-suite",
        (Scope::Suite, _) => false,
    };
    package.is_bare_program() && wanted
}

/// Builds them into a folder.
fn compile(packages: &[&Package], edition: &Edition, folder: &Path) -> Result<()> {
    if process::find("ld").is_none() {
        bail!("no linker `ld`; as root: apt-get install binutils");
    }
    let route = Route::require()?;
    let mut command = route.cargo("build");
    command.arg("--release").arg("--target-dir").arg(folder);
    for package in packages {
        command.args(["-p", &package.name]);
    }
    edition.tell(&mut command, packages.iter().map(|package| package.name.as_str()))?;
    let what = format!("version {} of core, services and guests, by {}", edition.version(), route.name());
    process::cargo("build", &what, &mut command)
}

fn put_programs(stage: &stage::Stage, packages: &[&Package], scope: Scope) -> Result<()> {
    let mut services = Archive::default();
    for package in packages {
        for name in &package.programs {
            let bytes = program::stripped(&program::built(name))?;
            edition::check_faults(name, &bytes)?;
            match (package.kind, name.as_str()) {
                (Kind::Core, _) => stage.put("understudy", &bytes)?,
                (Kind::Service, "root" | "suite") => stage.put(name, &bytes)?,
                (Kind::Service, _) => {
                    services.file(name, 0o755, &bytes);
                }
                (Kind::Guest, _) => stage.put(&format!("guest/{name}"), &bytes)?,
                (Kind::LinuxGuest | Kind::Host, _) => {}
            }
        }
    }
    if scope != Scope::Suite {
        stage.put("services", &services.finish())?;
    }
    Ok(())
}
