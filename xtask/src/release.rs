// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask release`: what is handed out, in `target/release-artefacts`.
//!
//! The operator's tool as a Debian package with its manual pages and completions, the ISO with the
//! default system and nothing for tests, and their checksums.

use crate::bare;
use crate::image::{self, Scope};
use crate::paths;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The architecture, as Debian calls it.
const ARCHITECTURE: &str = "amd64";
const SUMS: &str = "SHA256SUMS";

/// What was made.
pub struct Release {
    /// Where everything lies.
    pub folder: PathBuf,
    /// The Debian package.
    pub package: PathBuf,
    /// The bootable image.
    pub iso: PathBuf,
}

/// The command.
pub fn run() -> Result<ExitCode> {
    let release = make()?;
    println!("{}", paths::shown(&release.folder));
    for path in [&release.package, &release.iso, &release.folder.join(SUMS)] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("  {name:<32} {:>10} bytes", path.metadata()?.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds everything. The folder has nothing else in it afterwards.
pub fn make() -> Result<Release> {
    let version = env!("CARGO_PKG_VERSION");
    let built = image::build(Scope::Release)?;
    let folder = paths::in_target("release-artefacts");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let iso = folder.join(format!("understudy-{version}.iso"));
    std::fs::copy(&built, &iso).with_context(|| format!("cannot copy {}", paths::shown(&built)))?;
    let package = folder.join(format!("understudy_{version}_{ARCHITECTURE}.deb"));
    pack(&tool()?, version, &package)?;
    let names = [&package, &iso].map(|path| path.file_name().unwrap_or_default().to_owned());
    let sums = process::output(Command::new("sha256sum").args(names).current_dir(&folder))?;
    std::fs::write(folder.join(SUMS), sums)?;
    Ok(Release { folder, package, iso })
}

/// Builds the operator's tool for the host.
fn tool() -> Result<PathBuf> {
    let mut command = bare::host_cargo();
    command.args(["build", "--release", "-p", "understudy-cli", "--target-dir"]).arg(paths::target());
    process::cargo("build", "the operator's tool", &mut command)?;
    Ok(paths::in_target("release/understudy"))
}

/// Makes the package around the tool.
fn pack(tool: &Path, version: &str, package: &Path) -> Result<()> {
    process::announce("deb", &paths::shown(package));
    let tree = paths::in_target("image/deb");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    let program = tree.join("usr/bin/understudy");
    let [manual, documents, control] =
        ["usr/share/man/man1", "usr/share/doc/understudy", "DEBIAN"].map(|folder| tree.join(folder));
    for folder in [&manual, &documents, &control, &tree.join("usr/bin")] {
        std::fs::create_dir_all(folder)?;
    }
    process::quiet(Command::new("strip").arg("-o").arg(&program).arg(tool))?;
    process::quiet(Command::new(tool).args(["man", "--directory"]).arg(&manual))?;
    for page in std::fs::read_dir(&manual)? {
        process::quiet(Command::new("gzip").args(["-9", "-n"]).arg(page?.path()))?;
    }
    for (shell, file) in COMPLETIONS {
        let script = process::output(Command::new(tool).args(["completions", shell]))?;
        put(&tree.join(file), &script)?;
    }
    put(&documents.join("copyright"), &copyright()?)?;
    put(&control.join("control"), &describe(version, &oldest_libc(&program)?))?;
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "--build"]).arg(&tree).arg(package);
    // The same sources make the same package.
    let mut git = bare::tool("git");
    if let Ok(time) = process::output(git.args(["log", "-1", "--format=%ct"])) {
        command.env("SOURCE_DATE_EPOCH", time.trim());
    }
    process::quiet(&mut command)
}

/// Where the shells of Debian look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/understudy"),
    ("zsh", "usr/share/zsh/vendor-completions/_understudy"),
    ("fish", "usr/share/fish/vendor_completions.d/understudy.fish"),
];

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", paths::shown(path)))
}

fn copyright() -> Result<String> {
    let licences =
        ["LICENSE-MIT", "LICENSE-APACHE"].map(|name| std::fs::read_to_string(paths::in_repo(name)));
    let [mit, apache] = licences;
    Ok(format!("Understudy is licensed under either of the two, at your choice.\n\n{}\n\n{}", mit?, apache?))
}

/// The control file (deb-control(5)).
fn describe(version: &str, libc: &str) -> String {
    format!(
        "Package: understudy\nVersion: {version}\nArchitecture: {ARCHITECTURE}\nSection: admin\n\
         Priority: optional\nMaintainer: The authors of Understudy <understudy@localhost>\n\
         Depends: libc6 (>= {libc}), libgcc-s1\n\
         Description: operator's tool of the Understudy micro-hypervisor\n \
         Lists, checkpoints, restores, starts and stops the virtual machines of a\n \
         running Understudy, and replaces the hypervisor under them.\n"
    )
}

/// The oldest version of the C library that has every symbol that the program needs.
fn oldest_libc(program: &Path) -> Result<String> {
    let symbols = process::output(Command::new("objdump").arg("-T").arg(program))?;
    match newest_version(&symbols) {
        Some((major, minor)) => Ok(format!("{major}.{minor}")),
        None => bail!("`{}` names no version of the C library", paths::shown(program)),
    }
}

fn newest_version(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|after| {
        let mut numbers = after.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_decides_which_libc_is_needed() {
        let symbols = "(GLIBC_2.2.5) memcpy\n(GLIBC_2.34) main\n(GLIBC_2.9) pipe2\n";
        assert_eq!(newest_version(symbols), Some((2, 34)));
        assert_eq!(newest_version("nothing"), None);
    }

    #[test]
    fn a_control_file_has_one_field_per_line() {
        let text = describe("0.1.0", "2.34");
        assert!(text.lines().all(|line| line.starts_with(' ') || line.contains(": ")), "{text}");
        assert!(text.contains("Depends: libc6 (>= 2.34), libgcc-s1\n") && text.ends_with('\n'));
    }
}
