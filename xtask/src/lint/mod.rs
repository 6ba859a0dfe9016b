// SPDX-License-Identifier: MIT OR Apache-2.0
//! House lints: the rules of CONTRIBUTING.md that a program can hold, one per file.
//!
//! Owns the list of lints and the source files they read. Each lint is a pure function from sources to findings, so
//! that its own test needs no tree.

mod abi_page;
mod budget;
mod fence;
mod header;
mod layering;
mod lexer;
mod links;
mod locality;
mod todo;

pub use budget::{core_lines, unsafe_lines, vendor_lines};

use crate::bare;
use crate::paths;
use crate::process;
use anyhow::{Context, Result, bail};

/// A file that git knows or that is new and not ignored.
pub struct Source {
    /// Path relative to the repository, with `/`.
    pub path: String,
    /// Content.
    pub text: String,
}

impl Source {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_assembly(&self) -> bool {
        self.path.ends_with(".S")
    }
}

/// A lint: its name, the rule, and the function that finds what breaks it.
pub struct Lint {
    /// Name, as in `lint-NAME`.
    pub name: &'static str,
    find: fn(&[Source]) -> Vec<String>,
}

/// All lints.
pub const LINTS: &[Lint] = &[
    Lint { name: "header", find: header::find },
    Lint { name: "budget", find: budget::find },
    Lint { name: "fence", find: fence::find },
    Lint { name: "layering", find: layering::find },
    Lint { name: "links", find: links::find },
    Lint { name: "todo", find: todo::find },
    Lint { name: "locality", find: locality::find },
    Lint { name: "abi-page", find: abi_page::find },
];

impl Lint {
    /// Fails with all findings.
    pub fn run(&self) -> Result<()> {
        let findings = (self.find)(&sources()?);
        if findings.is_empty() {
            return Ok(());
        }
        bail!("{} finding(s)\n  {}", findings.len(), findings.join("\n  "))
    }
}

/// The tree's text files.
pub fn sources() -> Result<Vec<Source>> {
    let mut git = bare::tool("git");
    let list = process::output(git.args(["ls-files", "--cached", "--others", "--exclude-standard"]));
    let list = list.context("the lints read what git lists")?;
    let mut sources = Vec::new();
    for path in list.lines() {
        if let Ok(text) = std::fs::read_to_string(paths::in_repo(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

/// A source for a lint's test.
#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}
