// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page stores of checkpoint services: they change owner with the checkpoints that are in them.
//!
//! A store is never used without its service: the service ends before the store leaves, and starts
//! once the store is here and the VMs are. What is in it is the service's business. An instance
//! whose manifest has no such service uses the memory as it uses any other.

use api::root::ProcessState;
use root::ranges;
use rt::layout;

use super::{course, give, take};
use crate::failure::{Failure, Result};
use crate::frames::Frames;
use crate::partition::Partition;
use crate::system::System;

/// The partition that has this store here, if the manifest has one.
fn partition_of(system: &mut System, store: u8) -> Result<Option<usize>> {
    let stores = &course(system)?.inventory.stores;
    let told = stores.get(usize::from(store)).ok_or_else(|| Failure::new("there is no such store"))?;
    let service = told.service.clone();
    let fits = |partition: &Partition| partition.spec.name == service && partition.has_checkpoints();
    Ok(system.partitions.iter().position(fits))
}

/// The store leaves. Whoever calls its service hears that it is not there.
pub fn leave(system: &mut System, store: u8, extent: u8) -> Result<()> {
    let Some(index) = partition_of(system, store)? else { return give::free(system, extent) };
    let System { estate, partitions, .. } = system;
    let partition = &mut partitions[index];
    partition.tear_down(estate)?;
    partition.state = ProcessState::Away;
    partition.close(estate)?;
    partition.store.leave(estate, |_| Ok(()))
}

/// The store comes. Its service is started with what else waits ([`System::start_the_rest`]).
pub fn come(system: &mut System, store: u8, extent: u8) -> Result<()> {
    let Some(index) = partition_of(system, store)? else { return take::free(system, extent) };
    let told = course(system)?.inventory.stores[usize::from(store)].frames.clone();
    let System { estate, partitions, .. } = system;
    let partition = &mut partitions[index];
    if partition.store.blocks() != told {
        if partition.thread.is_some() {
            return Err(Failure::new("the service of the store has another one"));
        }
        if !ranges::follow_each_other(&told, layout::STORE) {
            return Err(Failure::new("the frames of the store are not as they should be"));
        }
        partition.store = Frames::elsewhere(&told);
    }
    partition.store.come(estate)
}

impl System {
    /// Callers of a service whose store has not come yet shall hear that it is not there, rather
    /// than wait.
    pub fn wait_for_store(&mut self, index: usize) {
        let Self { estate, partitions, journal, .. } = self;
        let partition = &mut partitions[index];
        partition.state = ProcessState::Away;
        if let Err(Failure(reason)) = partition.close(estate) {
            journal.say(format_args!("root: {}: {reason}", partition.spec.name));
        }
    }

    /// Whether a partition's store is another instance's for now.
    pub fn store_is_away(&self, index: usize) -> bool {
        let partition = &self.partitions[index];
        let course = self.succession.as_ref();
        let moves = course.is_some_and(|course| course.moves_store(&partition.spec.name));
        moves && partition.has_checkpoints() && (partition.store.is_empty() || !partition.store.are_here())
    }
}

impl super::Course {
    /// Whether the store of this service is among what changes owner.
    pub fn moves_store(&self, service: &str) -> bool {
        self.inventory.stores.iter().any(|store| store.service == service)
    }
}
