// SPDX-License-Identifier: MIT OR Apache-2.0
//! `header`: each source file says its licence and what it is for, in that order.

use super::tree::Source;

const LICENCE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

/// Files without the two.
pub fn find(sources: &[Source]) -> Vec<String> {
    sources.iter().filter_map(|source| judge(source).map(|what| format!("{}: {what}", source.path))).collect()
}

fn judge(source: &Source) -> Option<&'static str> {
    if !source.is_rust() && !source.is_assembly() {
        return None;
    }
    let mut lines = source.text.lines();
    if !lines.next().unwrap_or_default().contains(LICENCE) {
        return Some("the first line is not the SPDX licence line");
    }
    let second = lines.next().unwrap_or_default();
    if source.is_rust() && !second.starts_with("//! ") {
        return Some("the second line does not begin the `//!` header");
    }
    if source.is_assembly()
        && !(second.starts_with("/*") || second.starts_with("//") || second.starts_with('#'))
    {
        return Some("the second line does not begin a header comment");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn a_file_needs_licence_and_header() {
        let good = source("a.rs", "// SPDX-License-Identifier: MIT OR Apache-2.0\n//! A thing.\n");
        let bad = source("b.rs", "// SPDX-License-Identifier: MIT OR Apache-2.0\nfn main() {}\n");
        let none = source("c.rs", "fn main() {}\n");
        assert_eq!(find(&[good, bad, none]).len(), 2);
    }
}
