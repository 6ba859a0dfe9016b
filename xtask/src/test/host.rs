// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that run on the developer's machine: each package's by `cargo test`, models with
//! optimization.

use super::outcome::Outcome;
use crate::bare;
use crate::check;
use crate::process;
use anyhow::Result;
use std::process::Command;
use std::time::Instant;

/// The tests of one package.
pub struct Group {
    /// Name of the group.
    pub name: String,
    package: String,
    long: bool,
}

/// The packages whose tests explore a model in millions of steps; some of them are left to the long
/// run.
const MODELS: [&str; 2] = ["understudy-model", "understudy-succession"];

/// One group per package that has tests for the host.
pub fn groups(long: bool) -> Result<Vec<Group>> {
    let packages = check::host_packages()?;
    let group = |name: String| Group {
        name: format!("host-{}", name.trim_start_matches("understudy-")),
        package: name,
        long,
    };
    let mut groups: Vec<Group> = packages.into_iter().map(|package| group(package.name)).collect();
    groups.sort_by_key(|group| (group.explores(), group.name.clone()));
    Ok(groups)
}

/// Builds the tests of all groups at once, which is quicker than one after the other. What does not
/// build is found when its group runs.
pub fn build(groups: &[Group]) {
    for explores in [false, true] {
        let mut command = bare::host_cargo();
        command.args(["test", "--no-run", "--no-fail-fast"]);
        if explores {
            command.args(["--profile", "model"]);
        }
        let packages: Vec<&str> = groups
            .iter()
            .filter(|group| group.explores() == explores)
            .flat_map(|group| ["-p", group.package.as_str()])
            .collect();
        if !packages.is_empty() {
            let what = if explores { "tests of models, optimized" } else { "tests for the host" };
            let _ = process::cargo("build", what, command.args(packages));
        }
    }
}

impl Group {
    fn explores(&self) -> bool {
        MODELS.contains(&self.package.as_str())
    }

    /// Runs them.
    pub fn run(&self) -> Outcome {
        let start = Instant::now();
        let mut command = bare::host_cargo();
        command.args(["test", "--no-fail-fast", "-p", &self.package]).env("RUST_BACKTRACE", "0");
        if self.explores() {
            command.args(["--profile", "model"]);
            if self.long {
                command.args(["--", "--include-ignored"]);
            }
        }
        let (passed, failed, detail) = judge(&mut command);
        Outcome { name: self.name.clone(), passed, failed, time: start.elapsed(), detail }
    }
}

fn judge(command: &mut Command) -> (usize, usize, String) {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return (0, 1, error.to_string()),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (passed, failed) = count(&text);
    if output.status.success() {
        return (passed, failed, String::new());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // A crate that does not build has run no test and is one failure.
    (passed, failed.max(1), format!("{}\n{}", failures(&text), errors.trim_end()))
}

/// Sums up the lines `test result: ok. 7 passed; 0 failed; ...`.
fn count(text: &str) -> (usize, usize) {
    let mut sums = (0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        sums.0 += number_before(line, " passed");
        sums.1 += number_before(line, " failed");
    }
    sums
}

fn number_before(line: &str, word: &str) -> usize {
    let before = line.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The part of libtest's output that tells what failed.
fn failures(text: &str) -> String {
    let is_telling =
        |line: &&str| !line.ends_with("... ok") && !line.trim().is_empty() && !line.starts_with("running ");
    text.lines().filter(is_telling).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_up() {
        let text = "test a ... ok\ntest result: ok. 7 passed; 0 failed; 0 ignored\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(count(text), (8, 2));
    }
}
