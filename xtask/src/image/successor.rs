// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image of a second version of the hypervisor, signed: what the operator sends for a
//! succession.
//!
//! Owns what goes into it. The format is `bundle`'s, the key is of `keys`. Another version than the
//! current one has a build directory of its own (`target/next/VERSION`).

use super::compile;
use super::edition::Edition;
use super::manifest::{self, System};
use super::program::in_folder;
use crate::cpio::Archive;
use crate::keys;
use crate::packages::{self, Kind, Package};
use crate::paths;
use crate::process;
use crate::setup;
use anyhow::{Context, Result, anyhow, bail};
use api::manifest::source;
use api::succession::MAX_IMAGE;
use bundle::{Bundle, Header, Span};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The version that it has by default: one minor version on.
pub const NEXT: &str = "0.2.0";
/// The version of these sources.
pub const FIRST: &str = env!("CARGO_PKG_VERSION");

/// One build at a time: cargo would let them wait for each other anyway.
static COMPILING: Mutex<()> = Mutex::new(());

/// An image that was made.
pub struct Successor {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says of itself.
    pub header: Header,
    /// Its bytes.
    pub bytes: usize,
    /// Its digest.
    pub digest: String,
    /// Its entries, and the programs in the archive of services: names and bytes.
    pub parts: Vec<(String, usize)>,
}

/// The image itself, as it goes to a node: see [`make`].
pub fn bytes(version: &str, system: &str) -> Result<Vec<u8>> {
    let path = make(version, system)?.path;
    std::fs::read(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))
}

/// Builds `version` of core, root and services, and signs the image of them and of the manifest of
/// `system` (empty: the default one).
pub fn make(version: &str, system: &str) -> Result<Successor> {
    setup::ensure()?;
    let edition = Edition::of(version)?;
    let packages = packages::all()?;
    let system = find(system, &packages)?;
    let images = source::files(&system.manifest).0;
    let is_wanted = |package: &&Package| match package.kind {
        Kind::Core => package.is_bare_program(),
        Kind::Service => package.programs.iter().any(|name| name == "root" || images.contains(name)),
        _ => false,
    };
    let wanted: Vec<&Package> = packages.iter().filter(is_wanted).collect();
    let folder = folder_of(&edition)?;
    let compiled = COMPILING.lock().map_err(|_| anyhow!("another build of a successor failed"))?;
    compile(&wanted, &edition, &folder)?;
    let mut services = Archive::default();
    let mut parts = Vec::new();
    for name in &images {
        let bytes = service(&folder, name)?;
        services.file(name, 0o755, &bytes);
        parts.push((format!("services/{name}"), bytes.len()));
    }
    let entries = [
        ("core", bare(&folder, "understudy")?),
        ("root", service(&folder, "root")?),
        ("manifest", system.manifest.encode()),
        ("services", services.finish()),
    ];
    drop(compiled);
    parts.splice(0..0, entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len())));
    let header = header(&edition);
    let borrowed = entries.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
    write(header, &system.name, &borrowed, parts)
}

/// Where a version is built: what is built anyway is not built twice, and no two versions undo each
/// other's work.
fn folder_of(edition: &Edition) -> Result<PathBuf> {
    if edition.version() == Edition::current()?.version() {
        return Ok(paths::target().to_owned());
    }
    Ok(paths::in_target("next").join(edition.version().to_string()))
}

/// What this version says of itself.
fn header(edition: &Edition) -> Header {
    let state = Span::new(state::FORMAT.into(), state::FORMAT.into());
    let protocol = Span::new(succession::VERSION, succession::VERSION);
    Header::new(edition.version(), abi::VERSION, state, protocol)
}

fn write(
    header: Header,
    system: &str,
    entries: &[(&str, &[u8])],
    parts: Vec<(String, usize)>,
) -> Result<Successor> {
    let key = keys::image()?;
    let image = bundle::build::build(&header, entries, &key)?;
    if image.len() as u64 > MAX_IMAGE {
        bail!("the image has {} bytes; a hypervisor takes at most {MAX_IMAGE}", image.len());
    }
    // What is handed out can be opened.
    let digest = keys::hex(Bundle::open(&image, &key.public())?.digest());
    let system = if system.is_empty() { String::new() } else { format!("-{system}") };
    let path = paths::in_target("image").join(format!("successor-{}{system}.usimage", header.version));
    std::fs::create_dir_all(path.parent().context("an image has a folder")?)?;
    std::fs::write(&path, &image).with_context(|| format!("cannot write {}", paths::shown(&path)))?;
    Ok(Successor { path, header, bytes: image.len(), digest, parts })
}

fn find(name: &str, packages: &[Package]) -> Result<System> {
    let services = packages.iter().filter(|package| package.kind == Kind::Service);
    let images: Vec<String> = services.flat_map(|package| package.programs.clone()).collect();
    let mut systems = manifest::systems(&images)?;
    let Some(at) = systems.iter().position(|system| system.name == name) else {
        let names: Vec<&str> = systems.iter().map(|system| system.name.as_str()).collect();
        bail!("there is no system `{name}`; tests/manifests has {}", names[1..].join(", "));
    };
    Ok(systems.swap_remove(at))
}

/// A program with nothing but what is loaded: it has to go through a serial line.
fn bare(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let to = folder.join("bare").join(name);
    std::fs::create_dir_all(to.parent().context("a program has a folder")?)?;
    let mut strip = Command::new("strip");
    strip.args(["--strip-all", "--remove-section=.comment", "--remove-section=.note*", "-o"]).arg(&to);
    process::quiet(strip.arg(in_folder(folder, name)))?;
    std::fs::read(&to).with_context(|| format!("cannot read {}", paths::shown(&to)))
}

/// The same of a service: what root would not load is not sent.
fn service(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let bytes = bare(folder, name)?;
    super::edition::check_faults(name, &bytes)?;
    match root::image::read(&bytes) {
        Ok(_) => Ok(bytes),
        Err(reason) => bail!("the program `{name}` could not be loaded: {reason}"),
    }
}
