// SPDX-License-Identifier: MIT OR Apache-2.0
//! House lints: the rules of CONTRIBUTING.md that a program can hold, one per file.
//!
//! Owns the list of lints and the source files they read. Each lint is a pure function from sources
//! to findings, so that its own test needs no tree.

mod abi_page;
mod budget;
mod fence;
mod header;
mod layering;
mod lexer;
mod links;
mod locality;
mod todo;
mod tree;
mod width;

pub use budget::{core_lines, unsafe_lines, vendor_lines};
pub use tree::{Source, sources};

use anyhow::{Result, bail};

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
    Lint { name: "width", find: width::find },
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
