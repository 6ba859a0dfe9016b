// SPDX-License-Identifier: MIT OR Apache-2.0
//! `todo`: work left for later names its issue: `TODO(#12): ...`.

use super::tree::Source;

/// The word, in two parts so that this file is no finding of its own.
const WORDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Such words without a number.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust() || source.is_assembly()) {
        for (number, line) in source.text.lines().enumerate() {
            if WORDS.iter().any(|word| lacks_number(line, word)) {
                findings.push(format!("{}:{}: no issue number: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    findings
}

fn lacks_number(line: &str, word: &str) -> bool {
    let Some(comment) = line.find("//").and_then(|start| line.get(start..)) else { return false };
    let mut after = comment.match_indices(word).filter_map(|(at, _)| comment.get(at + word.len()..));
    after.any(|rest| !rest.starts_with("(#"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn a_word_with_a_number_is_fine() {
        let text = format!("// {}(#3): later\n// {}: some day\n", WORDS[0], WORDS[0]);
        assert_eq!(find(&[source("a.rs", &text)]).len(), 1);
    }
}
