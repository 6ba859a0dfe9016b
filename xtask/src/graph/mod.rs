// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask graph`: who may do what to whom, drawn from the manifest.
//!
//! Reads the same manifest that the root service obeys, so the picture is the authority, not a
//! description of it. The drawing itself is `svg`, the places of the boxes are `layout`.

mod layout;
mod model;
mod svg;

use crate::image::manifest;
use crate::paths;
use anyhow::{Context, Result};
use api::manifest::{Manifest, Partition, ROOT};
use clap::Args;
use model::{Edge, EdgeKind, Node, NodeKind};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of the command.
#[derive(Args)]
pub struct Options {
    /// Where the picture goes [default: target/graph.svg]
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Draws the default system.
pub fn run(options: &Options) -> Result<ExitCode> {
    let system = manifest::default_system()?;
    let (nodes, edges) = graph(&system.manifest);
    let picture = svg::draw(&nodes, &edges);
    let path = options.output.clone().unwrap_or_else(|| paths::in_target("graph.svg"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", paths::shown(&path));
    Ok(ExitCode::SUCCESS)
}

/// The manifest as boxes and arrows; the root service is the first box.
fn graph(manifest: &Manifest) -> (Vec<Node>, Vec<Edge>) {
    let lines = ["builds and restarts the others", "from this manifest alone"].map(str::to_owned).to_vec();
    let mut nodes = vec![Node { name: ROOT.to_owned(), lines, kind: NodeKind::Root }];
    nodes.extend(manifest.partitions.iter().map(node));
    let place = |name: &String| nodes.iter().position(|node| node.name == *name);
    let mut edges = Vec::new();
    for (index, partition) in manifest.partitions.iter().enumerate() {
        let kinds = [
            (&partition.calls, EdgeKind::Calls),
            (&partition.controls, EdgeKind::Controls),
            (&partition.checkpoints, EdgeKind::Checkpoints),
        ];
        for (names, kind) in kinds {
            edges.extend(names.iter().filter_map(place).map(|to| Edge { from: index + 1, to, kind }));
        }
    }
    (nodes, edges)
}

fn node(partition: &Partition) -> Node {
    let mut lines = vec![format!("CPU {}, priority {}", partition.cpu, partition.priority)];
    if let Some(vm) = &partition.vm {
        lines.push(format!("{} of guest memory", size(vm.memory_bytes)));
        lines.push(format!("{} vCPU, {}", vm.vcpus, vm.kernel));
    }
    if partition.store_bytes > 0 {
        lines.push(format!("{} of page store", size(partition.store_bytes)));
    }
    lines.extend(partition.ports.iter().map(|ports| format!("ports {:#x}-{:#x}", ports.first, ports.last)));
    lines.extend(partition.interrupts.iter().map(|line| format!("interrupt {line}")));
    if partition.secret {
        lines.push("the operator's secret".to_owned());
    }
    let kind = if partition.vm.is_some() { NodeKind::Vm } else { NodeKind::Service };
    Node { name: partition.name.clone(), lines, kind }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        bytes => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_in_the_manifest_is_an_arrow() {
        let named = |name: &str| Partition { name: name.to_owned(), ..Partition::default() };
        let mut operator = named("operator");
        operator.controls = vec!["root".to_owned(), "console".to_owned()];
        let manifest = Manifest { partitions: vec![named("console"), operator], secret: None };
        let (nodes, edges) = graph(&manifest);
        assert_eq!(nodes.len(), 3);
        let reached: Vec<usize> = edges.iter().map(|edge| edge.to).collect();
        assert_eq!(reached, [0, 1]);
    }
}
