// SPDX-License-Identifier: MIT OR Apache-2.0
//! One VM: its checkpoints, where in their history it is, and what is being done with it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use api::checkpoint::{Info, Refusal, Reply, Stage};

use crate::bitmap::Bitmap;
use crate::making::Making;
use crate::outside::Outside;
use crate::restoring::Restoring;
use crate::service::VmSetup;
use crate::store::{Digest, Store};
use crate::tree::Tree;

/// A checkpoint.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) parent: Option<u64>,
    pub(crate) state: Vec<u8>,
    pub(crate) standing: Standing,
    pub(crate) at_ms: u64,
    pub(crate) new_pages: u64,
}

/// How a checkpoint stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The VM's job is to make it, and its state is being put.
    Begun,
    /// The VM's job is to make it, and its state is there.
    Making,
    /// It is there, and so is its record, in these slots.
    Complete { tree: Tree, digest: Digest, record: Vec<u32> },
    /// It came to nothing.
    Failed(Refusal),
}

/// The checkpoint that guest memory last was the same as.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: u64,
    /// Kept even where the checkpoint has been removed: what was not written since is still the
    /// same.
    pub(crate) tree: Tree,
}

/// What is being done.
#[derive(Debug, Default)]
pub(crate) enum Job {
    #[default]
    None,
    Making(Box<Making>),
    Restoring(Box<Restoring>),
}

impl Job {
    /// Whether there is a step to take.
    pub(crate) fn has_work(&self) -> bool {
        match self {
            Self::None => false,
            Self::Making(making) => !making.waits(),
            Self::Restoring(_) => true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Vm {
    pub(crate) setup: VmSetup,
    pub(crate) checkpoints: BTreeMap<u64, Record>,
    pub(crate) head: Option<Head>,
    /// The present epoch of the books, if a seal has told it.
    pub(crate) epoch: Option<u64>,
    /// Pages written since the head, apart from what the books of the present epoch say. The job
    /// has it while a checkpoint is made.
    pub(crate) since: Bitmap,
    /// All pages, kept for the next checkpoint so that it need not be made while the VM stands
    /// still. The job has it then.
    pub(crate) all: Bitmap,
    pub(crate) job: Job,
    /// Checkpoint to be restored as soon as the present one is made.
    pub(crate) waiting: Option<u64>,
    /// Answer to the restore that ended.
    pub(crate) answer: Option<Reply>,
}

impl Vm {
    pub(crate) fn new(setup: VmSetup) -> Self {
        let (since, all) = (Bitmap::full(setup.pages), Bitmap::full(setup.pages));
        let (checkpoints, head, epoch) = (BTreeMap::new(), None, None);
        Self { setup, checkpoints, head, epoch, since, all, job: Job::None, waiting: None, answer: None }
    }

    /// Checkpoints that count against the quota.
    pub(crate) fn counted(&self) -> u32 {
        self.checkpoints.values().filter(|record| !matches!(record.standing, Standing::Failed(_))).count()
            as u32
    }

    pub(crate) fn quota_left(&self) -> u32 {
        self.setup.quota.saturating_sub(self.counted())
    }

    pub(crate) fn info(&self, id: u64, record: &Record) -> Info {
        let total = self.setup.pages;
        let (stage, digest) = match (&record.standing, &self.job) {
            (Standing::Begun, _) => (Stage::Begun, [0; 32]),
            (Standing::Making, Job::Making(making)) => (making.stage(total), [0; 32]),
            (Standing::Making, _) => (Stage::Copying { done: 0, total }, [0; 32]),
            (Standing::Complete { digest, .. }, _) => (Stage::Complete, *digest),
            (Standing::Failed(refusal), _) => (Stage::Failed(*refusal), [0; 32]),
        };
        Info {
            id,
            vm: self.setup.name.clone(),
            parent: record.parent,
            stage,
            at_ms: record.at_ms,
            new_pages: record.new_pages,
            state_bytes: record.state.len() as u32,
            digest,
        }
    }

    /// Nothing is known of guest memory any more, compared with any checkpoint.
    pub(crate) fn lose_head(&mut self, store: &mut Store) {
        if let Some(head) = self.head.take() {
            head.tree.release(store);
        }
        self.since.fill(true);
    }

    /// Guest memory is now what a checkpoint says, as far as it is not written from now on.
    pub(crate) fn move_head(&mut self, id: u64, tree: Tree, store: &mut Store) {
        if let Some(old) = self.head.replace(Head { id, tree }) {
            old.tree.release(store);
        }
        self.since.fill(false);
    }

    /// Drop what is being done. What it had written, or had to write, counts as written since the
    /// head.
    pub(crate) fn drop_job(&mut self, store: &mut Store, why: Refusal) {
        match core::mem::take(&mut self.job) {
            Job::None => {}
            Job::Making(making) => {
                let id = making.id();
                let (since, all) = making.give_up(store);
                self.since = since.unwrap_or_else(|| core::mem::take(&mut self.since));
                self.keep_all(all);
                if let Some(record) = self.checkpoints.get_mut(&id) {
                    record.standing = Standing::Failed(why);
                    record.state = Vec::new();
                }
            }
            Job::Restoring(restoring) => {
                restoring.release(store);
                self.lose_head(store);
            }
        }
    }

    /// The bitmap of all pages comes back from a job.
    pub(crate) fn keep_all(&mut self, mut all: Bitmap) {
        all.fill(true);
        self.all = all;
    }

    /// Begin to restore a checkpoint; no other job is under way.
    pub(crate) fn start_restoring(&mut self, id: u64) -> Result<(), Refusal> {
        let record = self.checkpoints.get(&id).ok_or(Refusal::NoCheckpoint)?;
        let Standing::Complete { tree, .. } = &record.standing else { return Err(Refusal::NotComplete) };
        let restoring = Restoring::new(id, tree.share(), self.since.clone(), self.head.is_some());
        self.job = Job::Restoring(Box::new(restoring));
        Ok(())
    }
}

impl Record {
    /// Give everything back that it has in the store: no catalogue names it any more.
    pub(crate) fn release(self, store: &mut Store) {
        match self.standing {
            Standing::Complete { tree, record, .. } => {
                tree.release(store);
                record.into_iter().for_each(|slot| store.release(slot));
            }
            Standing::Begun | Standing::Making | Standing::Failed(_) => {}
        }
    }

    /// The first slot of its record in the catalogue.
    pub(crate) fn first(&self) -> Option<u32> {
        match &self.standing {
            Standing::Complete { record, .. } => record.first().copied(),
            Standing::Begun | Standing::Making | Standing::Failed(_) => None,
        }
    }
}

/// What a step of a job works on besides the VM.
pub(crate) struct Around<'a, O> {
    pub(crate) vm: usize,
    pub(crate) outside: &'a mut O,
    pub(crate) store: &'a mut Store,
}

impl<O: Outside> Around<'_, O> {
    /// Stop asking for sealed writes: the core lets them through from now on.
    pub(crate) fn pager_off(&mut self) {
        // A refusal would mean that the guest space is gone, and nobody writes it any more.
        let _ = self.outside.set_pager(self.vm, false);
    }
}
