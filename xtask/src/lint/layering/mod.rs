// SPDX-License-Identifier: MIT OR Apache-2.0
//! `layering`: crates of the core depend downward only, and the files of a crate form no circle.
//!
//! `packages` holds the first rule. For the second, `source` reads modules, imports and paths from
//! a file, `modules` joins them to a crate and says which file needs which, and `circles` finds the
//! circles and compares them with the list of those that are not mended yet.

mod circles;
mod modules;
mod packages;
mod source;

use crate::lint::tree::Source;

/// What breaks either rule.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = packages::find(sources);
    findings.extend(circles::find(sources, circles::KNOWN));
    findings
}
