// SPDX-License-Identifier: MIT OR Apache-2.0
//! From rustdoc's comments to plain Markdown.
//!
//! Links to items become their names; lines of a comment become a paragraph, or a cell of a table.

/// A comment as one line, for a cell.
pub fn cell(docs: &[String]) -> String {
    line(docs).replace('|', "\\|")
}

/// A comment as one line.
pub fn line(docs: &[String]) -> String {
    plain(&docs.join(" "))
}

/// A comment as it is, links aside.
pub fn paragraphs(docs: &[String]) -> String {
    docs.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

/// Replaces ``[`path::Name`]`` and ``[`Name`](target)`` by `` `Name` ``.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("[`") {
        let (before, link) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = link.find("`]") else { break };
        out.push_str(&format!("`{}`", short(&link[2..end])));
        rest = &link[end + 2..];
        if let Some(target) = rest.strip_prefix('(')
            && let Some(close) = target.find(')')
        {
            rest = &target[close + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// A path without what only says where in the crate it is.
fn short(path: &str) -> &str {
    let inner = path.strip_prefix("crate::");
    let inner = inner.map(|rest| rest.split_once("::").map_or(rest, |(_, name)| name));
    inner.or_else(|| path.strip_prefix("super::")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn links_become_names() {
        assert_eq!(plain("see [`crate::vcpu::Exit`], [`POLL`]."), "see `Exit`, `POLL`.");
        assert_eq!(plain("[`E`](crate::error::Error::E) and [`super::B::c`]"), "`E` and `B::c`");
        assert_eq!(plain("[`crate::fault`] [x] a[0]"), "`fault` [x] a[0]");
    }
}
