// SPDX-License-Identifier: MIT OR Apache-2.0
//! `fence`: `unsafe` stays where it is reasoned about, and every other crate forbids it.

use super::tree::Source;

/// Folders inside the fence.
const INSIDE: &[&str] = &["hv/x86/", "hv/store/", "services/rt/", "guests/rt/"];
/// Single files inside the fence.
const FILES: &[&str] = &["hv/main.rs"];
/// Guest programs that consist of forbidden instructions, or that run as Linux processes without a
/// runtime.
const GUESTS: &str = "guests/";

/// Uses of `unsafe` outside, and crates outside that do not forbid it.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() && !is_inside(&source.path)) {
        for (number, line) in source.text.lines().enumerate() {
            if uses_unsafe(line) {
                findings.push(format!("{}:{}: `unsafe` outside the fence", source.path, number + 1));
            }
        }
        if is_crate_root(&source.path) && !forbids(&source.text) {
            findings.push(format!("{}: the crate does not `#![forbid(unsafe_code)]`", source.path));
        }
    }
    findings
}

fn is_inside(path: &str) -> bool {
    FILES.contains(&path) || path.starts_with(GUESTS) || INSIDE.iter().any(|folder| path.starts_with(folder))
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

fn forbids(text: &str) -> bool {
    text.contains("#![forbid(unsafe_code)]") || text.contains("#![deny(unsafe_code)]")
}

fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let quoted = code.contains('"') || code.contains("unsafe_");
    !quoted && code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn the_keyword_is_found_outside_alone() {
        let text = "#![forbid(unsafe_code)]\nfn a() { unsafe { b() } } // unsafe\n";
        assert_eq!(find(&[source("hv/cap/src/lib.rs", text), source("hv/x86/src/lib.rs", text)]).len(), 1);
    }

    #[test]
    fn a_crate_that_does_not_forbid_is_found() {
        assert_eq!(
            find(&[source("hv/cap/src/lib.rs", "//! x\n"), source("hv/cap/src/slot.rs", "//! x\n")]).len(),
            1
        );
    }
}
