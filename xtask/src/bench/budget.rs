// SPDX-License-Identifier: MIT OR Apache-2.0
//! The budget: `tests/budget.toml`, one line `name = most` per value; under `[at_least]` a line is
//! `name = least`.

use super::values::Values;
use crate::paths;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Which values exceed their budget, and by how much; in a whole run also which are missing or have
/// none.
pub fn exceeded(values: &Values, whole: bool) -> Result<Vec<String>> {
    let path = paths::in_repo("tests/budget.toml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))?;
    Ok(judge(values, &read(&text)?, whole))
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Most(u64),
    Least(u64),
}

type Limits = BTreeMap<String, Limit>;

fn judge(values: &Values, budget: &Limits, whole: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, limit) in budget {
        match (values.get(name), limit) {
            (Some(value), Limit::Most(most)) if value > most => {
                let percent = (value - most) * 100 / (*most).max(1);
                found.push(format!(
                    "{name} is {value}, {} ({percent} %) over its budget of {most}",
                    value - most
                ));
            }
            (Some(value), Limit::Least(least)) if value < least => {
                found.push(format!("{name} is {value}, and should be {least} at least"));
            }
            (None, _) if whole => found.push(format!("{name} has a budget and was not measured")),
            _ => {}
        }
    }
    let unknown = values.keys().filter(|name| whole && !budget.contains_key(*name));
    found.extend(unknown.map(|name| format!("{name} has no budget in tests/budget.toml")));
    found
}

/// Reads `name = number` lines; comments are passed over, and table headings but `[at_least]`.
fn read(text: &str) -> Result<Limits> {
    let mut budget = Limits::new();
    let mut limit: fn(u64) -> Limit = Limit::Most;
    for (number, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default().trim();
        if code.starts_with('[') {
            limit = if code == "[at_least]" { Limit::Least } else { Limit::Most };
        }
        if code.is_empty() || code.starts_with('[') {
            continue;
        }
        let entry = code.split_once('=').and_then(|(name, value)| {
            let value = value.trim().replace('_', "").parse().ok()?;
            Some((name.trim().to_owned(), value))
        });
        let Some((name, value)) = entry else {
            bail!("tests/budget.toml, line {}: not `name = number`", number + 1)
        };
        budget.insert(name, limit(value));
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_is_named_with_its_excess() {
        let budget = read("# aims\n[instructions]\nipc_round_trip = 1_000 # aim 400\nsyscall_null = 90\n")
            .expect("readable");
        let values = [("ipc_round_trip".to_owned(), 1100), ("new".to_owned(), 1)].into_iter().collect();
        let found = judge(&values, &budget, true);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], "ipc_round_trip is 1100, 100 (10 %) over its budget of 1000");
        assert_eq!(judge(&values, &budget, false).len(), 1);
        assert!(read("what\n").is_err());
    }

    #[test]
    fn what_falls_short_is_named() {
        let budget = read("[at_least]\nbytes = 100\n[lines]\ncore = 5\n").expect("readable");
        let values = |bytes| [("bytes".to_owned(), bytes), ("core".to_owned(), 5)].into_iter().collect();
        assert_eq!(judge(&values(99), &budget, true), ["bytes is 99, and should be 100 at least"]);
        assert!(judge(&values(101), &budget, true).is_empty());
    }
}
