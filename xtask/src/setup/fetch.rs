// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian packages that are unpacked, not installed: the Linux guest's kernel and its busybox.
//!
//! Kept under `target/linux`, shared by all build directories of this checkout. Works without root
//! as long as apt has package lists; apt checks the archive's signatures.

use super::{apt, is_root};
use crate::paths;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Parts of a Linux guest that come from Debian.
#[derive(Clone, Debug)]
pub struct Linux {
    /// The kernel image (bzImage).
    pub kernel: PathBuf,
    /// A statically linked busybox.
    pub busybox: PathBuf,
}

/// The parts, fetched where they are not there yet.
pub fn linux() -> Result<Linux> {
    let folder = paths::in_repo("target/linux");
    std::fs::create_dir_all(&folder)?;
    let busybox = folder.join("busybox");
    if !busybox.exists() {
        unpack("busybox-static", &folder, "busybox", |name| name.ends_with("bin/busybox"))?;
    }
    if kernel_in(&folder).is_none() {
        let package = kernel_package()?;
        let version = package.trim_start_matches("linux-image-").to_owned();
        unpack(&package, &folder, &format!("vmlinuz-{version}"), |name| name.contains("boot/vmlinuz-"))?;
    }
    let kernel = kernel_in(&folder).context("no kernel was unpacked")?;
    Ok(Linux { kernel, busybox })
}

/// The newest kernel in the folder.
fn kernel_in(folder: &Path) -> Option<PathBuf> {
    let names =
        std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names.filter(|name| name.starts_with("vmlinuz-")).max()?;
    Some(folder.join(newest))
}

/// The package that Debian's `linux-image-amd64` stands for today.
fn kernel_package() -> Result<String> {
    let text = match depends_of_kernel() {
        Ok(text) if text.contains("linux-image-") => text,
        _ => {
            if !is_root() {
                bail!("apt has no package lists; as root: apt-get update");
            }
            apt::update();
            depends_of_kernel()?
        }
    };
    let words = text.split_whitespace().skip(1);
    let mut packages = words.filter(|word| word.starts_with("linux-image-") && *word != "linux-image-amd64");
    packages.next().map(str::to_owned).context("linux-image-amd64 depends on no kernel")
}

fn depends_of_kernel() -> Result<String> {
    process::output(Command::new("apt-cache").args(["depends", "--no-recommends", "linux-image-amd64"]))
}

/// Downloads `package` and takes the one file that `wanted` accepts out of it.
fn unpack(package: &str, folder: &Path, to: &str, wanted: fn(&str) -> bool) -> Result<()> {
    let download = folder.join(format!("download-{}", std::process::id()));
    std::fs::create_dir_all(&download)?;
    let mut command = Command::new("apt-get");
    command.args(["download", package]).current_dir(&download);
    process::step("setup", &format!("apt-get download {package}"), &mut command)?;
    let archive = std::fs::read_dir(&download)?.flatten().map(|entry| entry.path()).next();
    let archive = archive.with_context(|| format!("apt-get downloaded nothing for {package}"))?;
    let names = process::output(Command::new("dpkg-deb").arg("--contents").arg(&archive))?;
    let name = names.split_whitespace().find(|word| word.starts_with("./") && wanted(word));
    let name = name.with_context(|| format!("{package} does not hold the expected file"))?;
    let mut list = Command::new("dpkg-deb");
    let mut list = list.arg("--fsys-tarfile").arg(&archive).stdout(Stdio::piped()).spawn()?;
    let tar = list.stdout.take().context("dpkg-deb has an output")?;
    let mut extract = Command::new("tar");
    extract.args(["-x", "-C"]).arg(&download).arg(name).stdin(tar);
    let status = extract.status().context("cannot start tar")?;
    let _ = list.wait();
    if !status.success() {
        bail!("cannot unpack {package}");
    }
    std::fs::rename(download.join(name), folder.join(to))?;
    let _ = std::fs::remove_dir_all(&download);
    Ok(())
}
