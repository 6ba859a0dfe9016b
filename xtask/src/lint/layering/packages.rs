// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages: each crate of the core depends downward only, and on nothing of the services.
//!
//! A crate that is not listed is a finding, so that a new one gets its layer on purpose.

use crate::lint::tree::Source;

/// Folder, its package and its layer.
const LAYERS: &[(&str, &str, u8)] = &[
    ("hv/abi", "understudy-abi", 0),
    ("hv/addr", "understudy-addr", 0),
    ("hv/queue", "understudy-queue", 0),
    ("hv/cap", "understudy-cap", 1),
    ("hv/ipc", "understudy-ipc", 1),
    ("hv/sched", "understudy-sched", 1),
    ("hv/paging", "understudy-paging", 1),
    ("hv/vcpu", "understudy-vcpu", 1),
    ("hv/processor", "understudy-processor", 1),
    ("hv/svm", "understudy-svm", 1),
    ("hv/firmware", "understudy-firmware", 1),
    ("hv/x86", "understudy-x86", 2),
    ("hv/store", "understudy-store", 2),
    ("hv/kernel", "understudy-kernel", 3),
];

/// Names that the workspace gives packages in dependency tables.
const RENAMED: &[(&str, &str)] = &[("x86-machine", "understudy-x86")];

/// Dependencies that go upward, or out of the core.
pub fn find(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in
        sources.iter().filter(|source| source.path.starts_with("hv/") && source.path.ends_with("Cargo.toml"))
    {
        let folder = source.path.trim_end_matches("/Cargo.toml");
        let Some((_, own, layer)) = LAYERS.iter().find(|(path, ..)| *path == folder) else {
            findings.push(format!(
                "{}: the crate has no layer in xtask/src/lint/layering/packages.rs",
                source.path
            ));
            continue;
        };
        for name in dependencies(&source.text) {
            let below = LAYERS.iter().find(|(_, package, _)| *package == name).map(|(_, _, layer)| *layer);
            if below.is_some_and(|below| below > *layer) {
                findings.push(format!("{}: {own} (layer {layer}) depends upward on {name}", source.path));
            }
            if SERVICES.contains(&name.as_str()) {
                findings.push(format!("{}: the core depends on {name}, which is a service's", source.path));
            }
        }
    }
    findings
}

const SERVICES: &[&str] =
    &["understudy-rt", "understudy-api", "understudy-state", "understudy-bundle", "understudy-vmm"];

/// Packages named in `[dependencies]` tables (tests may depend on anything).
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-") && !line.contains("build-");
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if inside && !name.is_empty() && !name.starts_with('#') {
            names.push(package(name));
        }
    }
    names
}

fn package(name: &str) -> String {
    let renamed = RENAMED.iter().find(|(short, _)| *short == name).map(|(_, package)| (*package).to_owned());
    let ours = || {
        let full = format!("understudy-{name}");
        let known =
            LAYERS.iter().any(|(_, package, _)| *package == full) || SERVICES.contains(&full.as_str());
        known.then_some(full)
    };
    renamed.or_else(ours).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tree::source;

    #[test]
    fn upward_and_outward_dependencies_are_found() {
        let up =
            source("hv/cap/Cargo.toml", "[dependencies]\nabi.workspace = true\nstore.workspace = true\n");
        let out =
            source("hv/kernel/Cargo.toml", "[dependencies]\nrt.workspace = true\ncap.workspace = true\n");
        let test = source("hv/cap/Cargo.toml", "[dev-dependencies]\nstore.workspace = true\n");
        assert_eq!(find(&[up]).len(), 1);
        assert_eq!(find(&[out]).len(), 1);
        assert!(find(&[test]).is_empty());
        assert_eq!(find(&[source("hv/new/Cargo.toml", "")]).len(), 1);
    }
}
