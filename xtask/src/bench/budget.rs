// SPDX-License-Identifier: MIT OR Apache-2.0
//! The budget: `tests/budget.toml`, one line `name = most` per value; under the heading `[at_least]`, `name = least`.

use super::values::Values;
use crate::paths;
use anyhow::{Context, Result, bail};

/// Which values exceed their budget, and by how much; in a whole run also which are missing or have none.
pub fn exceeded(values: &Values, whole: bool) -> Result<Vec<String>> {
    let path = paths::in_repo("tests/budget.toml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))?;
    Ok(judge(values, &read(&text)?, whole))
}

/// What values may be.
#[derive(Default)]
struct Budget {
    most: Values,
    least: Values,
}

fn judge(values: &Values, budget: &Budget, whole: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, least) in &budget.least {
        match values.get(name) {
            Some(value) if value < least => found.push(format!("{name} is {value}, below {least}")),
            None if whole => found.push(format!("{name} has to be {least} and was not measured")),
            _ => {}
        }
    }
    for (name, most) in &budget.most {
        match values.get(name) {
            Some(value) if value > most => {
                let percent = (value - most) * 100 / (*most).max(1);
                found.push(format!(
                    "{name} is {value}, {} ({percent} %) over its budget of {most}",
                    value - most
                ));
            }
            None if whole => found.push(format!("{name} has a budget of {most} and was not measured")),
            _ => {}
        }
    }
    let known = |name: &String| budget.most.contains_key(name) || budget.least.contains_key(name);
    let unknown = values.keys().filter(|name| whole && !known(name));
    found.extend(unknown.map(|name| format!("{name} has no budget in tests/budget.toml")));
    found
}

/// Reads `name = number` lines; comments and other headings are passed over.
fn read(text: &str) -> Result<Budget> {
    let mut budget = Budget::default();
    let mut at_least = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default().trim();
        if code.starts_with('[') {
            at_least = code == "[at_least]";
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
        let limits = if at_least { &mut budget.least } else { &mut budget.most };
        limits.insert(name, value);
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
        let budget = read("[at_least]\nnew = 2\n[lines]\nipc_round_trip = 2000\n").expect("readable");
        assert_eq!(judge(&values, &budget, true), ["new is 1, below 2"]);
        assert!(read("what\n").is_err());
    }
}
