// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the test suite's cases, read from its source so that they can be listed without
//! booting.
//!
//! A case is an entry `Case { name: "...", ... }` of a table in `services/suite/src`.

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

    /// CPUs of its machine: two, or the number that its name ends with.
    pub fn cpus(&self) -> u32 {
        self.name.rsplit('-').next().and_then(|word| word.parse().ok()).unwrap_or(2)
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
            cases.extend(cases_in(&std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Entries of tables in a source, whether on one line or on several.
fn cases_in(text: &str) -> Vec<Case> {
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect();
    let code = code.join(" ");
    let entries = code.split("Case {").skip(1).filter_map(|rest| rest.trim_start().strip_prefix("name: \""));
    entries.filter_map(|rest| rest.split('"').next()).map(|name| Case { name: name.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_in_tables_however_they_are_set() {
        let text = "pub struct Case { pub name: x }\nconst A: &[Case] = &[Case { name: \"a-b\", run: a },\n    \
                    Case {\n        name: \"c\",\n        run: c,\n    },\n    // Case { name: \"no\" }\n];\n";
        let names: Vec<String> = cases_in(text).into_iter().map(|case| case.name).collect();
        assert_eq!(names, ["a-b", "c"]);
    }
}
