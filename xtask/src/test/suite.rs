// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the test suite's cases, read from its source so that they can be listed without booting.
//!
//! A case is a line `case!("name", ...)` or `Case { name: "name", ... }` in `services/suite/src`.

use crate::paths;
use anyhow::Result;
use std::path::Path;

/// A case of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name, as in `case=NAME`.
    pub name: String,
}

impl Case {
    /// Whether it measures instead of testing.
    pub fn is_bench(&self) -> bool {
        self.name.starts_with("bench-")
    }
}

/// All cases, in the order of the source.
pub fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    read_folder(&paths::in_repo("services/suite/src"), &mut cases)?;
    cases.dedup();
    Ok(cases)
}

fn read_folder(folder: &Path, cases: &mut Vec<Case>) -> Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_folder(&path, cases)?;
        } else {
            cases.extend(std::fs::read_to_string(&path)?.lines().filter_map(case_in));
        }
    }
    Ok(())
}

fn case_in(line: &str) -> Option<Case> {
    let code = line.trim_start();
    if code.starts_with("//") {
        return None;
    }
    let after = ["Case { name: \"", "case!(\"", "Case::new(\"", "case(\""]
        .iter()
        .find_map(|start| code.strip_prefix(start));
    let name = after?.split('"').next()?;
    Some(Case { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_found_in_the_table() {
        let found = case_in("    Case { name: \"untyped-retype\", run: untyped::retype },");
        assert_eq!(found, Some(Case { name: "untyped-retype".into() }));
        assert_eq!(case_in("// Case { name: \"x\" }"), None);
    }
}
