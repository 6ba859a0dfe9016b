// SPDX-License-Identifier: MIT OR Apache-2.0
//! Circles of files: a file that needs itself by way of others.
//!
//! Those that are not mended yet are listed in `circles.txt`, exactly as they stand: a new one is a
//! finding, and so is a listed one that has become smaller.

use super::modules::{self, Needs};
use crate::lint::tree::Source;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The circles that are known: one path per line, an empty line between two circles.
pub const KNOWN: &str = include_str!("circles.txt");
const LIST: &str = "xtask/src/lint/layering/circles.txt";

type Circle = BTreeSet<String>;

/// Where circles and list differ.
pub fn find(sources: &[Source], known: &str) -> Vec<String> {
    let needs = modules::needs(sources);
    let found = circles(&needs);
    let known = read(known);
    let mut findings = Vec::new();
    for circle in found.iter().filter(|circle| !known.contains(circle)) {
        let listed = known.iter().find(|listed| !listed.is_disjoint(circle));
        let new = circle.iter().find(|file| listed.is_none_or(|listed| !listed.contains(*file)));
        match (listed, new) {
            (_, Some(file)) => findings.push(format!("a new circle: {}", way(&needs, circle, file))),
            (Some(listed), None) => findings.extend(smaller(listed, circle)),
            (None, None) => {}
        }
    }
    for listed in known.iter().filter(|listed| found.iter().all(|circle| circle.is_disjoint(listed))) {
        let files: Vec<&str> = listed.iter().map(String::as_str).collect();
        findings.push(format!("mended; remove from {LIST}: {}", files.join(" ")));
    }
    findings
}

/// A circle that has lost members.
fn smaller(listed: &Circle, circle: &Circle) -> Option<String> {
    let lost: Vec<&str> = listed.difference(circle).map(String::as_str).collect();
    let first = circle.first()?;
    Some(format!("the circle of {first} is smaller now; remove from its list in {LIST}: {}", lost.join(" ")))
}

fn read(list: &str) -> Vec<Circle> {
    let list: Vec<&str> = list.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let paragraphs = list.split(|line| line.is_empty());
    let circles = paragraphs.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
    circles.filter(|circle: &Circle| !circle.is_empty()).collect()
}

/// The sets of files that reach each other, in order.
fn circles(needs: &Needs) -> Vec<Circle> {
    let mut forward: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in needs.keys() {
        forward.entry(from).or_default().push(to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        forward.keys().map(|from| (*from, reached(&forward, from))).collect();
    let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|files| files.contains(to));
    let mut circles: Vec<Circle> = Vec::new();
    for file in reach.keys().filter(|file| reaches(file, file)) {
        if circles.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let members = reach.keys().filter(|other| reaches(file, other) && reaches(other, file));
        circles.push(members.map(|member| (*member).to_owned()).collect());
    }
    circles
}

fn reached<'a>(forward: &BTreeMap<&'a str, Vec<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = forward.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(forward.get(file).into_iter().flatten());
        }
    }
    found
}

/// The shortest way from a file back to itself, with the lines that lead along it.
fn way(needs: &Needs, circle: &Circle, start: &str) -> String {
    let mut open = VecDeque::from([(start, String::new())]);
    let mut seen = BTreeSet::new();
    while let Some((file, way)) = open.pop_front() {
        for ((_, to), line) in needs.iter().filter(|((from, to), _)| from == file && circle.contains(to)) {
            let way = format!("{way}{file}:{} -> ", line + 1);
            if to == start {
                return way + to;
            }
            if seen.insert(to) {
                open.push_back((to, way));
            }
        }
    }
    start.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tree::source;

    fn tree() -> Vec<Source> {
        vec![
            source("x/src/lib.rs", "mod a; mod b; mod c;"),
            source("x/src/a.rs", "use crate::b::B;"),
            source("x/src/b.rs", "use crate::c::C;"),
            source("x/src/c.rs", "use crate::a::A;"),
        ]
    }

    #[test]
    fn a_new_circle_is_told_with_its_way() {
        let findings = find(&tree(), "");
        let way = "x/src/a.rs:1 -> x/src/b.rs:1 -> x/src/c.rs:1 -> x/src/a.rs";
        assert_eq!(findings, [format!("a new circle: {way}")]);
    }

    #[test]
    fn a_listed_circle_is_none_and_a_file_that_joins_it_is_one() {
        assert!(find(&tree(), "# why\nx/src/a.rs\nx/src/b.rs\nx/src/c.rs\n").is_empty());
        assert_eq!(find(&tree(), "x/src/a.rs\nx/src/b.rs\n").len(), 1);
    }

    #[test]
    fn a_list_that_says_too_much_is_a_finding() {
        let list = "x/src/a.rs\nx/src/b.rs\nx/src/c.rs\nx/src/lib.rs\n\ny/a.rs\ny/b.rs\n";
        let findings = find(&tree(), list);
        assert!(findings[0].contains("smaller now") && findings[0].ends_with("x/src/lib.rs"), "{findings:?}");
        assert!(findings[1].starts_with("mended") && findings[1].ends_with("y/a.rs y/b.rs"), "{findings:?}");
    }
}
