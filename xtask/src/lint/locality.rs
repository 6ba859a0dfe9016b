// SPDX-License-Identifier: MIT OR Apache-2.0
//! `locality`: nothing in the tree names a path of one developer's machine.

use super::tree::Source;

/// Such paths, in parts so that this file is no finding of its own.
const PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/tmp/", "plan")];

/// Lines that name one.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            if PATHS.iter().any(|path| names(line, path)) {
                findings.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    findings
}

/// Whether the path begins there, and is not the middle of another one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.' || c == '_' || c == '-' || c == '}')
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_found_and_a_part_of_a_path_is_not() {
        let text = format!("see {}notes\nsee docs{}notes\n", PATHS[0], PATHS[0]);
        assert_eq!(find(&[source("a.md", &text)]).len(), 1);
    }
}
