// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints on the way from one hypervisor to another.
//!
//! They lie in the page store of their service, which is one extent of the ledger, and changes
//! owner as it is. Here it is seen to that nothing is under way in it then, and beforehand that the
//! image has a place for what is there.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use api::Interface;
use api::checkpoint::{self, Checkpoint, Info, Stage};
use api::estate::{Inventory, Use};
use api::manifest::Manifest;
use rt::ipc::Client;
use succession::Resource;

use super::Service;
use super::course::Course;

impl Service {
    /// All checkpoints; none where nobody is there to ask.
    pub fn checkpoints(&self) -> Result<Vec<Info>, String> {
        let client = Client::<Checkpoint>::named(Checkpoint::NAME).filter(|_| self.runs(Checkpoint::NAME));
        let Some(client) = client else { return Ok(Vec::new()) };
        let mut all: Vec<Info> = Vec::new();
        loop {
            let from = all.last().map_or(0, |info| info.id.saturating_add(1));
            match self.ask(Checkpoint::NAME, &client, &checkpoint::Request::List { from })? {
                // Ids that do not grow would be without end.
                checkpoint::Reply::List(list) if list.first().is_some_and(|info| info.id >= from) => {
                    all.extend(list);
                }
                checkpoint::Reply::List(_) => return Ok(all),
                other => return Err(format!("{}: {other:?}", Checkpoint::NAME)),
            }
        }
    }

    /// Lets the service of a store begin nothing any more before the store leaves. Refused while a
    /// checkpoint is made or restored, or where the other party has no place for one that was made
    /// since the plan.
    pub fn rest(&self, resource: Resource) -> Result<(), String> {
        self.tell(resource, true)?;
        let moves = |course: &Course| store_of(&course.inventory, resource).is_some();
        let takes =
            self.course.as_ref().filter(|course| moves(course)).and_then(|course| course.takes.as_ref());
        match takes {
            Some(places) => without_place(places, &self.checkpoints()?).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// The store is here: its service goes on, if it is still the one that was told to rest.
    pub fn go_on(&self, resource: Resource) -> Result<(), String> {
        self.tell(resource, false)
    }

    fn tell(&self, resource: Resource, rest: bool) -> Result<(), String> {
        let Some(course) = &self.course else { return Ok(()) };
        let Some(service) = store_of(&course.inventory, resource) else { return Ok(()) };
        // One that does not run does nothing.
        if !self.runs(service) {
            return Ok(());
        }
        let client = Client::<Checkpoint>::named(service);
        let client =
            client.ok_or_else(|| format!("the manifest does not let this service command {service}"))?;
        match self.ask(service, &client, &checkpoint::Request::Rest(rest))? {
            checkpoint::Reply::Done => Ok(()),
            checkpoint::Reply::Refused(checkpoint::Refusal::Busy) => {
                Err("a checkpoint is being made or restored".to_string())
            }
            other => Err(format!("{service}: {other:?}")),
        }
    }
}

/// The service whose store an extent is.
fn store_of(inventory: &Inventory, resource: Resource) -> Option<&str> {
    let Resource::Extent(number) = resource else { return None };
    match inventory.extents.get(usize::from(number))?.used {
        Use::Store(store) => Some(&inventory.stores.get(usize::from(store))?.service),
        Use::First | Use::Second | Use::Free | Use::Vm(_) => None,
    }
}

/// Why a succession cannot begin with these checkpoints there.
pub fn unfinished(checkpoints: &[Info]) -> Vec<String> {
    let made = |info: &&Info| match info.stage {
        Stage::Begun | Stage::Copying { .. } | Stage::Verifying { .. } => true,
        Stage::Complete | Stage::Failed(_) => false,
    };
    let reason = |info: &Info| format!("checkpoint {} of {} is being made: wait for it", info.id, info.vm);
    checkpoints.iter().filter(made).map(reason).collect()
}

/// The VMs whose checkpoints a hypervisor with this manifest keeps.
pub fn places(manifest: &Manifest) -> &[String] {
    let service = manifest.find(Checkpoint::NAME).map(|(_, service)| service);
    service.filter(|service| service.store_bytes > 0).map_or(&[], |service| &service.checkpoints)
}

/// Why a hypervisor that has a place for checkpoints of these VMs cannot take what is there.
pub fn without_place(places: &[String], checkpoints: &[Info]) -> Option<String> {
    let lost = |info: &&Info| info.stage == Stage::Complete && !places.contains(&info.vm);
    let lost = checkpoints.iter().find(lost)?;
    Some(format!("the image's manifest has no place for checkpoints of {}: remove them first", lost.vm))
}
