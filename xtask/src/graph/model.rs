// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is drawn: boxes and arrows.

/// A box.
pub struct Node {
    /// Heading.
    pub name: String,
    /// Lines below it.
    pub lines: Vec<String>,
    /// How it is coloured.
    pub kind: NodeKind,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// The root service.
    Root,
    /// A service.
    Service,
    /// A VM with its VMM.
    Vm,
}

/// An arrow from the one who may to the one whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node that holds the authority.
    pub from: usize,
    /// Index of the node that it reaches.
    pub to: usize,
    /// What it allows.
    pub kind: EdgeKind,
}

/// What an arrow allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// Use of the interface.
    Calls,
    /// Use and command.
    Controls,
    /// Sealing, reading and restoring its memory.
    Checkpoints,
}
