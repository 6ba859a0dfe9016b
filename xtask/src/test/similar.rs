// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that are like a word that somebody mistyped.

use std::collections::BTreeSet;

/// Most names that are proposed.
const MOST: usize = 3;

/// The names most like `word`, the best first: those that share at least half of its pairs of
/// letters.
pub fn most_like<'a>(word: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = pairs(word);
    let shared = |name: &str| pairs(name).intersection(&wanted).count();
    let mut found: Vec<(usize, &str)> = names.iter().map(|name| (shared(name), *name)).collect();
    found.retain(|(count, _)| *count > 0 && *count * 2 >= wanted.len());
    found.sort_by_key(|(count, name)| (std::cmp::Reverse(*count), name.len()));
    found.into_iter().take(MOST).map(|(_, name)| name).collect()
}

fn pairs(word: &str) -> BTreeSet<(char, char)> {
    word.chars().zip(word.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::most_like;

    #[test]
    fn a_mistyped_word_finds_its_name() {
        let names = ["boot-cpus-8", "checkpoints-quota", "succession-given-up", "vcpu-io"];
        assert_eq!(most_like("chekpoints", &names), ["checkpoints-quota"]);
        assert_eq!(most_like("sucession", &names), ["succession-given-up"]);
        assert!(most_like("zzz", &names).is_empty() && most_like("", &names).is_empty());
    }
}
