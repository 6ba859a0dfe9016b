// SPDX-License-Identifier: MIT OR Apache-2.0
//! `width`: comments and Markdown have at most 100 columns.
//!
//! Tables, code, and words that cannot break are as wide as they must be. Files that are not
//! brought to this width yet are listed in `width.txt`; one that is listed and narrow is a finding
//! too.

use super::lexer::{self, Kind};
use super::tree::Source;

const WIDTH: usize = 100;
const LIST: &str = "xtask/src/lint/width.txt";
const NOT_YET: &str = include_str!("width.txt");
/// Written by `cargo xtask abi` from comments that are held themselves.
const GENERATED: &str = "docs/abi.md";

/// Lines that are too wide, and files that are listed without need.
pub fn find(sources: &[Source]) -> Vec<String> {
    judge(sources, NOT_YET)
}

fn judge(sources: &[Source], not_yet: &str) -> Vec<String> {
    let listed: Vec<&str> =
        not_yet.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path != GENERATED) {
        let wide = wide_lines(source);
        match (listed.contains(&source.path.as_str()), wide.is_empty()) {
            (true, true) => findings.push(format!("{}: narrow; remove it from {LIST}", source.path)),
            (true, false) => {}
            (false, _) => findings.extend(
                wide.iter().map(|line| format!("{}:{}: wider than {WIDTH} columns", source.path, line + 1)),
            ),
        }
    }
    let is_gone = |path: &&&str| !sources.iter().any(|source| source.path == **path);
    findings.extend(listed.iter().filter(is_gone).map(|path| format!("{path}: gone; remove it from {LIST}")));
    findings
}

fn wide_lines(source: &Source) -> Vec<usize> {
    let numbered: Vec<(usize, &str)> = source.text.lines().enumerate().collect();
    let comments: Vec<(usize, &str)> = if source.path.ends_with(".md") {
        without_indented_code(numbered)
    } else if source.path.ends_with(".toml") {
        numbered.into_iter().filter(|(_, line)| line.trim_start().starts_with('#')).collect()
    } else if source.is_rust() {
        let tokens = lexer::tokens(&source.text);
        let is_comment = |number: usize, line: &str| {
            line.trim_start().starts_with("//")
                && tokens
                    .binary_search_by_key(&number, |token| token.line)
                    .is_ok_and(|at| tokens.get(at).is_some_and(|token| token.kind == Kind::Comment))
        };
        numbered.into_iter().filter(|(number, line)| is_comment(*number, line)).collect()
    } else {
        Vec::new()
    };
    let mut in_code = false;
    let mut wide = Vec::new();
    for (number, line) in comments {
        let text = text_of(line);
        if text.starts_with("```") {
            in_code = !in_code;
        } else if !in_code && line.chars().count() > WIDTH && can_break(text) {
            wide.push(number);
        }
    }
    wide
}

/// The lines of a page but for code that is told by its indentation: four blanks, after an empty
/// line.
fn without_indented_code(lines: Vec<(usize, &str)>) -> Vec<(usize, &str)> {
    let mut may_begin = true;
    let is_text = |(_, line): &(usize, &str)| {
        let is_code = may_begin && line.starts_with("    ");
        may_begin = is_code || line.is_empty();
        !is_code
    };
    lines.into_iter().filter(is_text).collect()
}

/// A line without the signs of a comment.
fn text_of(line: &str) -> &str {
    let line = line.trim_start();
    let markers = ["///", "//!", "//"];
    markers.iter().find_map(|marker| line.strip_prefix(marker)).unwrap_or(line).trim_start()
}

/// Whether the text is more than a row of a table or one long word, behind the sign of a list or
/// not.
fn can_break(text: &str) -> bool {
    !text.starts_with('|') && text.trim_start_matches(['-', '*', '#', ' ']).trim_end().contains(' ')
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    fn long(start: &str) -> String {
        format!("{start}{}", "word ".repeat(25))
    }

    #[test]
    fn wide_comments_and_paragraphs_are_found() {
        let rust = source("a.rs", &format!("{}\nfn a() {{}}\n    {}\n", long("//! "), long("// ")));
        let page = source("a.md", &format!("{}\n{}\n", long("- "), long("")));
        let table = source("a.toml", &format!("{}\nkey = \"{}\"\n", long("# "), long("")));
        assert_eq!(judge(&[rust, page, table], "").len(), 5);
    }

    #[test]
    fn tables_code_and_words_that_cannot_break_are_none() {
        let link = format!("- <https://{}>", "a".repeat(120));
        let page = format!("{}\n```\n{}\n```\n{link}\n\n    {}\n", long("| "), long(""), long("$ "));
        let code = format!("fn a() {{ b(\"{}\") }}\nlet c = \"\n// {}\";\n", long(""), long(""));
        assert_eq!(judge(&[source("a.md", &page), source("a.rs", &code)], ""), Vec::<String>::new());
    }

    #[test]
    fn a_list_that_says_too_much_is_a_finding() {
        let wide = source("a.md", &long(""));
        let narrow = source("b.md", "short\n");
        assert!(judge(&[wide], "# why\na.md\n").is_empty());
        assert_eq!(judge(&[narrow], "b.md\nc.md\n").len(), 2);
    }
}
