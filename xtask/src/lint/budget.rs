// SPDX-License-Identifier: MIT OR Apache-2.0
//! `budget`: how large a file, a function and the core may get.
//!
//! Also counts the lines that `cargo xtask bench` reports. A waiver is a line here, with its
//! reason.

use super::tree::Source;

/// Lines of one file.
const FILE: usize = 400;
/// Lines of one function, from its signature to its closing brace.
const FUNCTION: usize = 60;
/// Lines of the core that every machine has. The aim is 10,000
/// (`docs/adr/0006-memory-and-cpus-leave.md`); what stands above it came with
/// `docs/adr/0010-no-partition-stops-another.md` and is to be taken out again.
const CORE: usize = 10_320;
/// Parts of the core for one vendor's processors or IOMMUs, counted apart: name, folders, most
/// lines.
const VENDORS: &[(&str, &[&str], usize)] =
    &[("svm", &["hv/x86/src/svm/", "hv/svm/"], 1_500), ("vtd", &["hv/vtd/", "hv/x86/src/vtd/"], 700)];

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// What is over its budget.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() || source.is_assembly()) {
        let lines = source.text.lines().count();
        if lines > FILE && !LONG_FILES.iter().any(|(path, _)| *path == source.path) {
            findings.push(format!("{}: {lines} lines, at most {FILE}", source.path));
        }
        if source.is_rust() {
            findings.extend(long_functions(source));
        }
    }
    let core = core_lines(sources);
    if core > CORE {
        findings.push(format!("hv: {core} lines of the common core, at most {CORE}"));
    }
    for ((name, lines), (.., most)) in vendor_lines(sources).into_iter().zip(VENDORS) {
        if lines > *most {
            findings.push(format!("hv: {lines} lines of the backend {name}, at most {most}"));
        }
    }
    findings
}

fn long_functions(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let lines: Vec<&str> = source.text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let body = lines[start..].iter().position(|line| {
            *line == closing
                || line.ends_with(';') && line.starts_with(indent) && line[indent.len()..].starts_with("fn")
        });
        let length = body.map_or(1, |last| last + 1);
        let waived =
            LONG_FUNCTIONS.iter().any(|(path, function, _)| *path == source.path && *function == name);
        if length > FUNCTION && !waived {
            findings.push(format!(
                "{}:{}: `{name}` has {length} lines, at most {FUNCTION}",
                source.path,
                start + 1
            ));
        }
    }
    findings
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_prefix = |word: &&str| {
        let known =
            ["pub", "pub(crate)", "pub(super)", "const", "unsafe", "extern", "async", "\"C\"", "\"sysv64\""];
        known.contains(word)
    };
    let first = words.find(|word| !is_prefix(word))?;
    if first != "fn" || line.trim_end().ends_with('}') || line.trim_end().ends_with(';') {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

/// Lines of the common core without blanks, comments and tests.
pub fn core_lines(sources: &[Source]) -> usize {
    let is_common = |source: &&Source| !VENDORS.iter().any(|(_, folders, _)| is_below(&source.path, folders));
    in_core(sources).filter(is_common).map(|source| code_lines(&source.text).count()).sum()
}

/// The same of each vendor's backend, with its name.
pub fn vendor_lines(sources: &[Source]) -> Vec<(&'static str, usize)> {
    let lines = |folders: &[&str]| {
        let files = in_core(sources).filter(|source| is_below(&source.path, folders));
        files.map(|source| code_lines(&source.text).count()).sum()
    };
    VENDORS.iter().map(|(name, folders, _)| (*name, lines(folders))).collect()
}

fn is_below(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// Lines of the core inside `unsafe` blocks, functions and implementations, and lines of assembly.
pub fn unsafe_lines(sources: &[Source]) -> usize {
    in_core(sources)
        .map(
            |source| {
                if source.is_assembly() { code_lines(&source.text).count() } else { unsafe_in(&source.text) }
            },
        )
        .sum()
}

fn in_core(sources: &[Source]) -> impl Iterator<Item = &Source> {
    let is_test = |path: &str| {
        path.contains("/tests/")
            || path.contains("/benches/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs")
            // The checker of the capability invariants is compiled for tests alone.
            || path == "hv/cap/src/check.rs"
    };
    sources.iter().filter(move |source| {
        source.path.starts_with("hv/") && (source.is_rust() || source.is_assembly()) && !is_test(&source.path)
    })
}

/// Lines that count: not blank, not comment, not in a `#[cfg(test)] mod`.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut in_test = false;
    let mut after_cfg = false;
    let mut in_comment = false;
    text.lines().filter(move |line| {
        let trimmed = line.trim();
        if in_test {
            in_test = *line != "}";
            return false;
        }
        if in_comment {
            in_comment = !trimmed.contains("*/");
            return false;
        }
        if after_cfg {
            after_cfg = trimmed.starts_with("#[");
            in_test = !after_cfg && trimmed.starts_with("mod ") && !trimmed.ends_with(';');
            return false;
        }
        if trimmed == "#[cfg(test)]" {
            after_cfg = true;
            return false;
        }
        if trimmed.starts_with("/*") {
            in_comment = !trimmed.contains("*/");
            return false;
        }
        !trimmed.is_empty() && !trimmed.starts_with("//")
    })
}

/// Lines from one with the keyword to the closing brace of its block.
fn unsafe_in(text: &str) -> usize {
    let mut depth = 0_i64;
    let mut count = 0;
    let mut waiting = false;
    for line in code_lines(text) {
        let code = line.split("//").next().unwrap_or_default();
        let starts = depth == 0
            && !waiting
            && code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        if !starts && depth == 0 && !waiting {
            continue;
        }
        count += 1;
        let code = if starts { &code[code.find("unsafe").unwrap_or(0)..] } else { code };
        let opened = code.matches('{').count() as i64;
        depth = (depth + opened - code.matches('}').count() as i64).max(0);
        waiting = depth == 0 && opened == 0 && !code.trim_end().ends_with(';') && (starts || waiting);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn blanks_comments_and_tests_do_not_count() {
        let text = "//! Head.\n\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n";
        assert_eq!(core_lines(&[source("hv/x/src/lib.rs", text)]), 4);
        assert_eq!(core_lines(&[source("services/x/src/lib.rs", text)]), 0);
    }

    #[test]
    fn a_backend_counts_apart_and_has_its_own_limit() {
        let code = |count: usize| "b();\n".repeat(count);
        let sources: Vec<Source> =
            (0..4).map(|part| source(&format!("hv/svm/src/p{part}.rs"), &code(390))).collect();
        assert_eq!(core_lines(&sources), 0);
        assert_eq!(vendor_lines(&sources)[0], ("svm", 1560));
        assert_eq!(find(&sources).len(), 1);
    }

    #[test]
    fn an_unsafe_block_counts_to_its_end() {
        let text = "fn a() {\n    unsafe {\n        b();\n    }\n    c();\n    let d = unsafe { e() };\n}\n";
        assert_eq!(unsafe_lines(&[source("hv/x/src/lib.rs", text)]), 4);
    }

    #[test]
    fn a_long_function_and_a_long_file_are_found() {
        let long = format!("fn long() {{\n{}}}\nfn short() {{\n}}\n", "    a();\n".repeat(60));
        assert_eq!(find(&[source("a.rs", &long)]).len(), 1);
        assert_eq!(find(&[source("a.rs", &"//\n".repeat(401))]).len(), 1);
    }
}
