// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service of `docs/write-a-service.md`, taken from the page as it stands there and built.
//!
//! Owns the reading of the page (a fenced block belongs to the file named on the line before it)
//! and a package made of it under the build directory, with the workspace's settings around it.
//! What becomes of its programs is the caller's affair.

use crate::bare::{self, Route};
use crate::image::edition::Edition;
use crate::paths;
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The page.
const PAGE: &str = "docs/write-a-service.md";
/// Where the page says that the package goes.
const PACKAGE: &str = "services/tally/";

/// What was made of the page.
pub struct Example {
    /// The programs, built for the bare machine.
    pub programs: Vec<PathBuf>,
    /// What goes into the manifest.
    pub manifest: String,
}

/// Builds what the page says.
pub fn build() -> Result<Example> {
    let page =
        std::fs::read_to_string(paths::in_repo(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let blocks = blocks(&page);
    let folder = paths::in_target("example");
    // What an earlier version of the page had must not be built with this one.
    let _ = std::fs::remove_dir_all(folder.join("src"));
    let mut files = 0;
    for block in &blocks {
        let Some(name) = block.path.strip_prefix(PACKAGE) else { continue };
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        let text = if name == "Cargo.toml" { in_workspace(&block.text)? } else { block.text.clone() };
        std::fs::write(path, text)?;
        files += 1;
    }
    let manifest = blocks.iter().find(|block| block.text.starts_with("[[service]]"));
    let manifest = manifest.with_context(|| format!("{PAGE} shows no lines for the manifest"))?.text.clone();
    if files < 2 {
        bail!("{PAGE} shows {files} files of a package under {PACKAGE}");
    }
    std::fs::copy(paths::in_repo("Cargo.lock"), folder.join("Cargo.lock"))?;
    let mut command = Route::require()?.cargo("build");
    command.args(["--release", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    command.env("CARGO_TARGET_DIR", paths::target());
    Edition::current()?.tell(&mut command, core::iter::empty())?;
    process::step("build", &format!("the service of {PAGE}"), &mut command)?;
    let built = paths::target().join(bare::TARGET).join("release");
    let names = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let programs = names.map(|name| built.join(name)).collect();
    Ok(Example { programs, manifest })
}

/// A fenced block of a page, and the path that the line before it names.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    path: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for line in page.lines() {
        match (&mut open, line.starts_with("```")) {
            (None, true) => {
                let path = before.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:"));
                open = Some(Block { path: path.unwrap_or_default().to_owned(), text: String::new() });
            }
            (None, false) if !line.is_empty() => before = line,
            (None, false) => {}
            (Some(block), false) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), true) => {
                blocks.extend(open.take());
                before = "";
            }
        }
    }
    blocks
}

/// The package's manifest as the root of a workspace that has the settings of ours.
fn in_workspace(package: &str) -> Result<String> {
    let ours = std::fs::read_to_string(paths::in_repo("Cargo.toml"))?;
    let shared: String = sections(&ours)
        .filter(|section| section.starts_with("[workspace.") || section.starts_with("[profile."))
        .collect();
    let shared = shared.replace("path = \"", &format!("path = \"{}/", paths::repo().display()));
    Ok(format!("{package}\n[workspace]\nresolver = \"3\"\n\n{shared}"))
}

/// The sections of a TOML file, each with its heading.
fn sections(text: &str) -> impl Iterator<Item = String> {
    let mut sections: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') || sections.is_empty() {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(line);
            section.push('\n');
        }
    }
    sections.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_belongs_to_the_file_named_before_it() {
        let page = "Text.\n\n`a/b.rs`:\n\n```rust\nfn x() {}\n```\n\nMore:\n\n```toml\n[[service]]\n```\n";
        let expected = [
            Block { path: "a/b.rs".into(), text: "fn x() {}\n".into() },
            Block { path: String::new(), text: "[[service]]\n".into() },
        ];
        assert_eq!(blocks(page), expected);
    }

    #[test]
    fn sections_keep_their_headings() {
        let found: Vec<String> = sections("# c\n[a]\nx = 1\n[b.c]\ny = 2\n").collect();
        assert_eq!(found, ["# c\n", "[a]\nx = 1\n", "[b.c]\ny = 2\n"]);
    }
}
