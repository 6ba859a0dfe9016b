// SPDX-License-Identifier: MIT OR Apache-2.0
//! `links`: what a page links to inside the repository is there.

use super::tree::Source;

/// Links that lead nowhere.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for page in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (number, line) in outside_of_code(&page.text) {
            for target in targets(line) {
                let Some(path) = join(&page.path, target) else { continue };
                let is_there = |source: &Source| {
                    source.path == path || path.is_empty() || source.path.starts_with(&format!("{path}/"))
                };
                if !sources.iter().any(is_there) {
                    findings.push(format!("{}:{}: no such file: {target}", page.path, number + 1));
                }
            }
        }
    }
    findings
}

fn outside_of_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of `[text](target)`, outside of code in backticks.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let prose = line.split('`').step_by(2);
    // A link whose text is code has its target in the piece behind.
    prose.flat_map(|piece| piece.split("](").skip(1)).filter_map(|after| after.split(')').next())
}

/// The path in the repository; `None` for one that leads out of it, or stays on the page.
fn join(page: &str, target: &str) -> Option<String> {
    let target = target.split('#').next().unwrap_or_default();
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." { parts.pop().map(drop)? } else { parts.push(part) }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found_and_others_are_not() {
        let page = "[a](../x/a.rs) [`b`](gone.md#top) `[c](code.md)` [d](https://d.e) [f](#here) [g](../x)\n\
                    ```\n[h](i)\n```\n";
        let sources = [source("docs/page.md", page), source("x/a.rs", "")];
        assert_eq!(find(&sources), ["docs/page.md:1: no such file: gone.md#top"]);
    }
}
