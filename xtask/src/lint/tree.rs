// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that lints read: what git lists, with its text.

use crate::bare;
use crate::paths;
use crate::process;
use anyhow::{Context, Result};

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

    /// Whether it is assembly.
    pub fn is_assembly(&self) -> bool {
        self.path.ends_with(".S")
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
pub fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}
