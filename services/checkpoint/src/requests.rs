// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests: who may ask what, and what happens at once.

use alloc::boxed::Box;
use alloc::vec::Vec;

use api::checkpoint::{Info, MAX_LIST, MAX_PART, MAX_STATE, Refusal, Reply, Request, StoreInfo};
use api::{Badge, CONTROL};

use crate::catalogue::MOST_RECORDS;
use crate::making::Making;
use crate::outside::Outside;
use crate::service::{Answer, Service};
use crate::tree::Tree;
use crate::vm::{Around, Job, Record, Standing};

impl Service {
    /// Do what is asked by whoever has this badge, at so many milliseconds after boot.
    pub fn request<O: Outside>(
        &mut self,
        badge: Badge,
        request: Request,
        at_ms: u64,
        outside: &mut O,
    ) -> Answer {
        let control = badge & CONTROL != 0;
        let vm = self.vm_of(badge);
        let done = match (request, vm) {
            (Request::List { from }, vm) if control || vm.is_some() => Ok(self.list(vm, from)),
            (Request::Remove { id }, _) if control => self.remove(id, outside),
            (Request::Rest(rest), _) if control => self.rest(rest, outside),
            (Request::Store, _) if control => Ok(self.store_info()),
            (Request::Attach, Some(vm)) => Ok(self.attach(vm, outside)),
            (Request::Begin, Some(vm)) => self.begin(vm, at_ms, outside),
            (Request::PutState { id, offset, bytes }, Some(vm)) => self.put_state(vm, (id, offset), &bytes),
            (Request::Commit { id }, Some(vm)) => self.commit(vm, id),
            (Request::Abort { id }, Some(vm)) => self.abort(vm, id, outside),
            (Request::GetState { id, offset }, Some(vm)) => self.get_state(vm, id, offset),
            (Request::Quota, Some(vm)) => Ok(self.quota(vm)),
            (Request::Restore { id }, Some(vm)) => match self.restore(vm, id, outside) {
                Ok(()) => return Answer::Later,
                Err(why) => Err(why),
            },
            _ => Ok(Reply::Denied),
        };
        Answer::Now(done.unwrap_or_else(Reply::Refused))
    }

    fn list(&self, vm: Option<usize>, from: u64) -> Reply {
        let own = |index: usize| vm.is_none_or(|vm| vm == index);
        let mut found: Vec<Info> = Vec::new();
        for (_, vm) in self.vms.iter().enumerate().filter(|(index, _)| own(*index)) {
            let records = vm.checkpoints.range(from..).take(MAX_LIST);
            found.extend(records.map(|(id, record)| vm.info(*id, record)));
        }
        found.sort_by_key(|info| info.id);
        found.truncate(MAX_LIST);
        Reply::List(found)
    }

    fn remove<O: Outside>(&mut self, id: u64, outside: &mut O) -> Result<Reply, Refusal> {
        let found = self.vms.iter().position(|vm| vm.checkpoints.contains_key(&id));
        let index = found.ok_or(Refusal::NoCheckpoint)?;
        let vm = &self.vms[index];
        let busy = match &vm.job {
            Job::None => false,
            Job::Making(making) => making.id() == id,
            Job::Restoring(restoring) => restoring.id() == id,
        };
        if busy || vm.waiting == Some(id) {
            return Err(Refusal::Busy);
        }
        self.forget(index, id, outside);
        Ok(Reply::Done)
    }

    /// The store changes owner as it is: nothing may be under way then. What was given out as ids
    /// is known to whoever has it next.
    fn rest<O: Outside>(&mut self, rest: bool, outside: &mut O) -> Result<Reply, Refusal> {
        if rest && self.is_busy() {
            return Err(Refusal::Busy);
        }
        if rest {
            self.ids = self.next_id;
            self.write_root(outside);
        }
        self.rests = rest;
        Ok(Reply::Done)
    }

    fn store_info(&self) -> Reply {
        let (pages, used) = (self.store.size(), self.store.used());
        Reply::Store(StoreInfo { pages, used, referenced: self.store.referenced() })
    }

    fn quota(&self, vm: usize) -> Reply {
        let vm = &self.vms[vm];
        Reply::Quota { left: vm.quota_left(), total: vm.setup.quota }
    }

    fn attach<O: Outside>(&mut self, index: usize, outside: &mut O) -> Reply {
        Around { vm: index, outside, store: &mut self.store }.pager_off();
        let vm = &mut self.vms[index];
        vm.drop_job(&mut self.store, Refusal::Busy);
        vm.lose_head(&mut self.store);
        vm.epoch = None;
        vm.waiting = None;
        vm.answer = None;
        self.drop_unfinished(index);
        Reply::Done
    }

    /// Drop what was begun and not committed, and what failed.
    fn drop_unfinished(&mut self, index: usize) {
        let vm = &mut self.vms[index];
        vm.checkpoints.retain(|_, record| !matches!(record.standing, Standing::Begun | Standing::Failed(_)));
    }

    /// Seal: constant, whatever the size of memory, for the VM stands still. From here on sealed
    /// writes come to us until every page is settled.
    fn begin<O: Outside>(&mut self, index: usize, at_ms: u64, outside: &mut O) -> Result<Reply, Refusal> {
        if self.rests {
            return Err(Refusal::Busy);
        }
        self.drop_uncommitted(index, outside);
        self.may_begin(index)?;
        if self.next_id >= self.ids {
            self.reserve_ids(outside);
        }
        let epoch = seal(index, outside)?;
        let id = self.next_id;
        self.next_id += 1;
        let vm = &mut self.vms[index];
        let head = vm.head.as_ref();
        let (parent, pages) = (head.map(|head| head.id), vm.setup.pages);
        let tree = head.map_or_else(|| Tree::zero(pages), |head| head.tree.share());
        let bitmaps = (core::mem::take(&mut vm.since), core::mem::take(&mut vm.all));
        vm.epoch = Some(epoch);
        vm.job = Job::Making(Box::new(Making::new(id, tree, bitmaps, epoch.saturating_sub(1))));
        let record = Record { parent, state: Vec::new(), standing: Standing::Begun, at_ms, new_pages: 0 };
        vm.checkpoints.insert(id, record);
        Ok(Reply::Begun { id })
    }

    /// Drops a checkpoint whose state is not there: the VMM does not go on with it, or it would not
    /// ask for something else.
    fn drop_uncommitted<O: Outside>(&mut self, index: usize, outside: &mut O) {
        if let Job::Making(making) = &self.vms[index].job
            && !making.is_committed()
        {
            self.fail_making(index, Refusal::NotComplete, outside);
        }
    }

    /// Checks that a VM can have one more checkpoint.
    fn may_begin(&mut self, index: usize) -> Result<(), Refusal> {
        if !matches!(self.vms[index].job, Job::None) {
            return Err(Refusal::Busy);
        }
        self.drop_unfinished(index);
        let vm = &self.vms[index];
        if vm.quota_left() == 0 {
            return Err(Refusal::QuotaExhausted);
        }
        let all: usize = self.vms.iter().map(|vm| vm.checkpoints.len()).sum();
        if !self.store.has_room(index) || all >= MOST_RECORDS {
            return Err(Refusal::StoreFull);
        }
        Ok(())
    }

    /// The checkpoint of a VM that was begun and not committed.
    fn begun(&mut self, vm: usize, id: u64) -> Result<&mut Record, Refusal> {
        let record = self.vms[vm].checkpoints.get_mut(&id);
        record.filter(|record| matches!(record.standing, Standing::Begun)).ok_or(Refusal::NoCheckpoint)
    }

    fn put_state(&mut self, vm: usize, (id, offset): (u64, u32), bytes: &[u8]) -> Result<Reply, Refusal> {
        let record = self.begun(vm, id)?;
        let fits = bytes.len() <= MAX_PART && record.state.len() + bytes.len() <= MAX_STATE as usize;
        if !fits || record.state.len() != offset as usize {
            return Err(Refusal::BadPart);
        }
        record.state.extend_from_slice(bytes);
        Ok(Reply::Done)
    }

    fn abort<O: Outside>(&mut self, vm: usize, id: u64, outside: &mut O) -> Result<Reply, Refusal> {
        self.begun(vm, id)?;
        self.fail_making(vm, Refusal::NotComplete, outside);
        self.forget(vm, id, outside);
        Ok(Reply::Done)
    }

    /// The typed state is there.
    fn commit(&mut self, index: usize, id: u64) -> Result<Reply, Refusal> {
        self.begun(index, id)?.standing = Standing::Making;
        if let Job::Making(making) = &mut self.vms[index].job {
            making.commit();
        }
        Ok(Reply::Done)
    }

    fn get_state(&self, vm: usize, id: u64, offset: u32) -> Result<Reply, Refusal> {
        let record = self.vms[vm].checkpoints.get(&id).ok_or(Refusal::NoCheckpoint)?;
        match record.standing {
            Standing::Making | Standing::Complete { .. } => {}
            Standing::Begun | Standing::Failed(_) => return Err(Refusal::NotComplete),
        }
        let rest = record.state.get(offset as usize..).unwrap_or(&[]);
        let bytes = rest.get(..rest.len().min(MAX_PART)).unwrap_or(&[]).to_vec();
        Ok(Reply::State { total: record.state.len() as u32, bytes })
    }

    fn restore<O: Outside>(&mut self, index: usize, id: u64, outside: &mut O) -> Result<(), Refusal> {
        self.drop_uncommitted(index, outside);
        let rests = self.rests;
        let vm = &mut self.vms[index];
        match (&vm.job, vm.waiting, vm.checkpoints.get(&id).map(|record| &record.standing)) {
            (_, _, None) => Err(Refusal::NoCheckpoint),
            (Job::Restoring(_), ..) | (_, Some(_), _) => Err(Refusal::Busy),
            _ if rests => Err(Refusal::Busy),
            (Job::Making(_), None, Some(Standing::Making | Standing::Complete { .. })) => {
                vm.waiting = Some(id);
                Ok(())
            }
            (_, _, Some(_)) => vm.start_restoring(id),
        }
    }
}

/// Seals a VM's memory, with sealed writes to be reported to us.
fn seal<O: Outside>(vm: usize, outside: &mut O) -> Result<u64, Refusal> {
    outside.set_pager(vm, true).map_err(Refusal::Core)?;
    outside.seal(vm).map_err(|error| {
        // A refusal would mean that the guest space is gone, and nobody writes it any more.
        let _ = outside.set_pager(vm, false);
        Refusal::Core(error)
    })
}
