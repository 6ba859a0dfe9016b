// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who owns what, as last seen.
//!
//! The hypervisor that answers says only what is its own. Which one that is changes in the middle,
//! so owners are kept here by their part in the succession.

use std::collections::BTreeMap;

use api::succession::{Holding, Status};

use super::super::Output;
use crate::{Failure, text};

/// A party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The one that was there before.
    Incumbent,
    /// The one that takes over.
    Successor,
}

impl Party {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Party::Incumbent => "incumbent",
            Party::Successor => "successor",
        }
    }
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What.
    pub name: String,
    /// Whose.
    pub owner: Party,
    /// `held`, `leaving`, `with VM`.
    pub state: String,
    /// Bytes, for memory.
    pub bytes: u64,
}

/// What was seen last.
pub struct Picture {
    seen: BTreeMap<String, (Party, String)>,
    versions: [Option<String>; 2],
}

impl Picture {
    pub fn new() -> Self {
        Self { seen: BTreeMap::new(), versions: [None, None] }
    }

    /// Keeps the versions that a plan names.
    pub fn name(&mut self, from: &str, to: &str) {
        self.versions = [from, to].map(|version| Some(text::plain(version)));
    }

    /// Keeps the version of whom a status is of.
    pub fn learn(&mut self, status: &Status, is_successor: bool) {
        self.versions[usize::from(is_successor)] = Some(text::plain(&status.version));
    }

    /// What a party is called: its version, or its part where that would not tell the two apart.
    pub fn called(&self, party: Party) -> String {
        match (&self.versions, party) {
            ([Some(incumbent), Some(successor)], _) if incumbent == successor => {
                format!("{incumbent} ({})", party.word())
            }
            ([Some(version), _], Party::Incumbent) | ([_, Some(version)], Party::Successor) => {
                version.clone()
            }
            _ => party.word().to_owned(),
        }
    }

    /// Resources as a hypervisor sees them.
    pub fn look(&self, holdings: &[Holding], is_successor: bool) -> Vec<Resource> {
        let resource = |holding: &Holding| Resource {
            name: text::plain(&holding.name),
            owner: if holding.mine == is_successor { Party::Successor } else { Party::Incumbent },
            state: text::plain(&holding.state),
            bytes: holding.bytes,
        };
        holdings.iter().map(resource).collect()
    }

    /// Of these, those that were not seen so before.
    pub fn changes(&mut self, resources: Vec<Resource>) -> Vec<Resource> {
        let mut changed = Vec::new();
        for resource in resources {
            let now = (resource.owner, resource.state.clone());
            if self.seen.insert(resource.name.clone(), now.clone()) != Some(now) {
                changed.push(resource);
            }
        }
        changed
    }

    /// How many resources there are, and how many are the successor's.
    pub fn count(&self) -> (usize, usize) {
        (self.seen.len(), self.seen.values().filter(|(owner, _)| *owner == Party::Successor).count())
    }
}

/// Prints resources with their owners.
pub fn table(resources: &[Resource], picture: &Picture, output: &mut Output<'_>) -> Result<(), Failure> {
    let row = |resource: &Resource| {
        let size = if resource.bytes == 0 { "-".to_owned() } else { text::bytes(resource.bytes) };
        vec![resource.name.clone(), size, picture.called(resource.owner), resource.state.clone()]
    };
    output.table(&["Resource", "Size", "Owner", "State"], &resources.iter().map(row).collect::<Vec<_>>())
}
