// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service as a whole: jobs step by step, and sealed writes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use api::Badge;
use api::checkpoint::{Refusal, Reply};

use crate::catalogue::{Loaded, Root};
use crate::making::{self, Making};
use crate::outside::Outside;
use crate::restoring;
use crate::store::{Digest, Store};
use crate::vm::{Around, Job, Record, Standing, Vm};

/// A VM as the environment describes it.
#[derive(Clone, Debug)]
pub struct VmSetup {
    /// Name.
    pub name: String,
    /// By this badge its VMM calls, and its sealed writes arrive.
    pub badge: Badge,
    /// Pages of guest memory.
    pub pages: u64,
    /// How many checkpoints it may have.
    pub quota: u32,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is the answer.
    Now(Reply),
    /// [`Service::finished`] will have it.
    Later,
}

/// Ids that the catalogue counts as given out before they are.
const IDS: u64 = 64;

/// The service.
#[derive(Debug)]
pub struct Service {
    pub(crate) vms: Vec<Vm>,
    pub(crate) store: Store,
    pub(crate) next_id: u64,
    /// Ids below may have been given out, as far as the catalogue knows.
    pub(crate) ids: u64,
    /// Generation of the catalogue.
    pub(crate) generation: u64,
    /// Nothing is begun any more: the store is about to change owner.
    pub(crate) rests: bool,
    /// VM whose job gets the next step.
    turn: usize,
    /// Checkpoints that became complete and were not yet told of.
    completed: Vec<u64>,
}

impl Service {
    /// A service for these VMs, with a store of `slots` slots, of which the first is the zero page.
    /// Ids begin at `first_id` where the store has no catalogue that says how far they are.
    #[must_use]
    pub fn new(vms: Vec<VmSetup>, slots: u32, first_id: u64) -> Self {
        let weights: Vec<u64> = vms.iter().map(|vm| vm.pages.saturating_mul(u64::from(vm.quota))).collect();
        let store = Store::new(slots, &weights);
        Self {
            vms: vms.into_iter().map(Vm::new).collect(),
            store,
            next_id: first_id,
            ids: first_id,
            generation: 0,
            rests: false,
            turn: 0,
            completed: Vec::new(),
        }
    }

    /// Take the checkpoints that are in the store. Let every VM go on that waits for a service that
    /// is no more: nobody asks us until a checkpoint is begun.
    pub fn start<O: Outside>(&mut self, outside: &mut O) -> Loaded {
        for vm in 0..self.vms.len() {
            Around { vm, outside, store: &mut self.store }.pager_off();
        }
        let loaded = self.load(outside);
        self.reserve_ids(outside);
        loaded
    }

    /// Writes the catalogue's root anew: the checkpoints that are complete.
    pub(crate) fn write_root<O: Outside>(&mut self, outside: &mut O) {
        if self.store.size() == 0 {
            return;
        }
        self.generation += 1;
        let records = self.vms.iter().flat_map(|vm| vm.checkpoints.values().filter_map(Record::first));
        let root = Root { generation: self.generation, ids: self.ids, records: records.collect() };
        root.write(self.store.slots(), outside);
    }

    /// Lets the catalogue know that the next ids may be given out.
    pub(crate) fn reserve_ids<O: Outside>(&mut self, outside: &mut O) {
        self.ids = self.next_id + IDS;
        self.write_root(outside);
    }

    /// Forget a checkpoint. The catalogue does so first.
    pub(crate) fn forget<O: Outside>(&mut self, index: usize, id: u64, outside: &mut O) {
        let Some(record) = self.vms.get_mut(index).and_then(|vm| vm.checkpoints.remove(&id)) else { return };
        if record.first().is_some() {
            self.write_root(outside);
        }
        record.release(&mut self.store);
    }

    /// Whether [`Service::step`] has anything to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.vms.iter().any(|vm| vm.job.has_work())
    }

    /// Whether a checkpoint is being made or restored, be there a step to take or not.
    pub(crate) fn is_busy(&self) -> bool {
        self.vms.iter().any(|vm| !matches!(vm.job, Job::None))
    }

    /// Take one bounded step of one job.
    pub fn step<O: Outside>(&mut self, outside: &mut O) {
        let count = self.vms.len();
        for _ in 0..count {
            let index = self.turn % count;
            self.turn = index + 1;
            if self.vms[index].job.has_work() {
                self.step_vm(index, outside);
                return;
            }
        }
    }

    /// A restore that ended: the badge of who asked, and the answer.
    pub fn finished(&mut self) -> Option<(Badge, Reply)> {
        self.vms.iter_mut().find_map(|vm| vm.answer.take().map(|reply| (vm.setup.badge, reply)))
    }

    /// A checkpoint that became complete since the last call.
    pub fn take_completed(&mut self) -> Option<u64> {
        self.completed.pop()
    }

    /// Somebody wants to write a sealed page: settle it, then let it be written. False where the
    /// core will not have it.
    pub fn sealed_write<O: Outside>(&mut self, badge: Badge, address: u64, outside: &mut O) -> bool {
        let Some(index) = self.vms.iter().position(|vm| vm.setup.badge == badge) else { return false };
        let page = address >> 12;
        let mut around = Around { vm: index, outside, store: &mut self.store };
        let settled = match &mut self.vms[index].job {
            Job::Making(making) => making.settle(&mut around, page),
            Job::None | Job::Restoring(_) => Ok(()),
        };
        if let Err(why) = settled {
            self.fail_making(index, why, outside);
        }
        outside.unseal(index, page).is_ok()
    }

    /// The VM with this badge.
    pub(crate) fn vm_of(&self, badge: Badge) -> Option<usize> {
        self.vms.iter().position(|vm| vm.setup.badge == badge)
    }

    fn step_vm<O: Outside>(&mut self, index: usize, outside: &mut O) {
        let mut around = Around { vm: index, outside, store: &mut self.store };
        let vm = &mut self.vms[index];
        match &mut vm.job {
            Job::None => {}
            Job::Making(making) => match step_making(making, &mut around, &vm.setup.name, &vm.checkpoints) {
                Ok(making::Outcome::More) => {}
                Ok(making::Outcome::Settled) => {
                    let (id, tree) = (making.id(), making.share_tree());
                    around.pager_off();
                    vm.since = making.take_dirty();
                    vm.move_head(id, tree, around.store);
                }
                Ok(making::Outcome::Complete(digest, record)) => {
                    self.complete_making(index, (digest, record), outside);
                }
                Err(why) => self.fail_making(index, why, outside),
            },
            Job::Restoring(restoring) => match restoring.step(&mut around, vm.head.as_ref(), vm.epoch) {
                Ok(restoring::Outcome::More) => {}
                Ok(restoring::Outcome::Complete(epoch)) => self.complete_restoring(index, Some(epoch)),
                Ok(restoring::Outcome::CompleteWithoutBooks) => self.complete_restoring(index, None),
                Err(error) => {
                    vm.drop_job(&mut self.store, Refusal::Core(error));
                    vm.answer = Some(Reply::Refused(Refusal::Core(error)));
                }
            },
        }
    }

    /// All pages, the digest and the record are there: now, and not before, the checkpoint is.
    fn complete_making<O: Outside>(
        &mut self,
        index: usize,
        (digest, chain): (Digest, Vec<u32>),
        outside: &mut O,
    ) {
        let vm = &mut self.vms[index];
        if let Job::Making(making) = core::mem::take(&mut vm.job) {
            let (id, new_pages) = (making.id(), making.new_pages());
            let (tree, all) = making.into_parts();
            match vm.checkpoints.get_mut(&id) {
                Some(record) => {
                    self.completed.push(id);
                    record.new_pages = new_pages;
                    record.standing = Standing::Complete { tree, digest, record: chain };
                }
                None => {
                    tree.release(&mut self.store);
                    chain.into_iter().for_each(|slot| self.store.release(slot));
                }
            }
            vm.keep_all(all);
        }
        // Ids for the next ones, so that no VM stands still until they are reserved.
        self.reserve_ids(outside);
        self.restore_waiting(index);
    }

    /// The checkpoint comes to nothing; the VM goes on as if it had not been asked for.
    pub(crate) fn fail_making<O: Outside>(&mut self, index: usize, why: Refusal, outside: &mut O) {
        Around { vm: index, outside, store: &mut self.store }.pager_off();
        self.vms[index].drop_job(&mut self.store, why);
        self.restore_waiting(index);
    }

    fn restore_waiting(&mut self, index: usize) {
        let vm = &mut self.vms[index];
        if let Some(id) = vm.waiting.take()
            && let Err(why) = vm.start_restoring(id)
        {
            vm.answer = Some(Reply::Refused(why));
        }
    }

    fn complete_restoring(&mut self, index: usize, epoch: Option<u64>) {
        let vm = &mut self.vms[index];
        let Job::Restoring(restoring) = core::mem::take(&mut vm.job) else { return };
        vm.answer = Some(Reply::Restored { pages: restoring.pages() });
        vm.epoch = epoch;
        let id = restoring.id();
        vm.move_head(id, restoring.into_tree(), &mut self.store);
        if epoch.is_none() {
            vm.lose_head(&mut self.store);
        }
    }
}

/// One step of a checkpoint of the VM with this name.
fn step_making<O: Outside>(
    making: &mut Making,
    around: &mut Around<'_, O>,
    name: &str,
    checkpoints: &BTreeMap<u64, Record>,
) -> Result<making::Outcome, Refusal> {
    let record = checkpoints.get(&making.id()).ok_or(Refusal::NoCheckpoint)?;
    making.step(around, (name, record))
}
