// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making a checkpoint out of a sealed VM: which pages were written, copying them, the digest, the
//! record in the catalogue.
//!
//! `todo` holds the pages that are not settled. A page is settled when its slot in the tree is
//! right: unchanged since the head, zero, or copied. Only a settled page may be unsealed. Before
//! the books are read every page counts as written.

use alloc::boxed::Box;
use alloc::vec::Vec;

use api::checkpoint::{Refusal, Stage};

use crate::bitmap::Bitmap;
use crate::catalogue::{Head, Writer};
use crate::leaf::{FAN, sum_of};
use crate::outside::{Books, Harvest, Outside};
use crate::store::{Digest, Store, ZERO};
use crate::tree::Tree;
use crate::vm::{Around, Record};

/// Words of the books that are read at once: what the core sends.
pub(crate) const BOOK_WORDS: usize = 256;
/// Pages copied in one step.
const COPY_PAGES: u32 = 32;
/// Pages whose sum is made in one step.
const SUM_PAGES: u32 = 256;
/// Leaves looked at in one step.
const LEAVES: usize = 256;

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is more to do.
    More,
    /// The last page was settled just now.
    Settled,
    /// It is complete, and its record is in the store, in these slots.
    Complete(Digest, Vec<u32>),
}

#[derive(Debug)]
enum Phase {
    /// Reading the books from this page on.
    Books(u64),
    /// Copying from this page on.
    Copy(u64),
    /// Making the digest from this leaf on.
    Digest(u32),
    /// Writing the record.
    Record(Digest, Box<Writer>),
}

/// A checkpoint that is being made.
#[derive(Debug)]
pub(crate) struct Making {
    id: u64,
    tree: Tree,
    todo: Bitmap,
    /// Pages written since the head, as far as the books were read.
    dirty: Bitmap,
    /// The epoch that the seal ended.
    epoch: u64,
    phase: Phase,
    new_pages: u64,
    /// The typed state is there.
    committed: bool,
}

impl Making {
    /// Begin after the seal that ended `epoch`. `parent` is the head's tree with the pages written
    /// since (all where there is no head), apart from what the books of the epoch say; `todo` has
    /// all pages.
    ///
    /// The VM stands still meanwhile: nothing here may depend on how large it is.
    pub(crate) fn new(id: u64, parent: Tree, (since, todo): (Bitmap, Bitmap), ended: u64) -> Self {
        Self {
            id,
            tree: parent,
            todo,
            dirty: since,
            epoch: ended,
            phase: Phase::Books(0),
            new_pages: 0,
            committed: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The typed state is there: the checkpoint may become complete.
    pub(crate) fn commit(&mut self) {
        self.committed = true;
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.committed
    }

    /// All pages are settled, and the typed state is not there: no step has anything to do.
    pub(crate) fn waits(&self) -> bool {
        !self.committed && matches!(self.phase, Phase::Digest(_) | Phase::Record(..))
    }

    pub(crate) fn new_pages(&self) -> u64 {
        self.new_pages
    }

    pub(crate) fn stage(&self, total: u64) -> Stage {
        match self.phase {
            Phase::Books(_) | Phase::Copy(_) => Stage::Copying { done: total - self.todo.count(), total },
            Phase::Digest(leaf) => Stage::Verifying { done: (u64::from(leaf) * FAN).min(total), total },
            Phase::Record(..) => Stage::Verifying { done: total, total },
        }
    }

    /// A tree that shares all pages with this one.
    pub(crate) fn share_tree(&self) -> Tree {
        self.tree.share()
    }

    /// The bitmap of pages written, once all are settled: it is of no more use here.
    pub(crate) fn take_dirty(&mut self) -> Bitmap {
        core::mem::take(&mut self.dirty)
    }

    /// The tree, and the bitmap `todo`, for the next time.
    pub(crate) fn into_parts(self) -> (Tree, Bitmap) {
        (self.tree, self.todo)
    }

    /// Give up. Where the head has not moved yet: the pages that are known to be written since. And
    /// the bitmap `todo`.
    pub(crate) fn give_up(mut self, store: &mut Store) -> (Option<Bitmap>, Bitmap) {
        let since = match self.phase {
            Phase::Books(_) => {
                // The rest of the books has not been read, and what was read is forgotten there.
                self.dirty.fill(true);
                Some(self.dirty)
            }
            Phase::Copy(_) => Some(self.dirty),
            // The head is at this very checkpoint already.
            Phase::Digest(_) => None,
            Phase::Record(_, writer) => {
                writer.release(&self.tree, store);
                None
            }
        };
        self.tree.release(store);
        (since, self.todo)
    }

    /// One bounded step, of the checkpoint of the VM with this name that `record` tells of.
    pub(crate) fn step<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        (name, record): (&str, &Record),
    ) -> Result<Outcome, Refusal> {
        match &mut self.phase {
            &mut Phase::Books(from) => {
                self.read_books(around, from);
                Ok(Outcome::More)
            }
            &mut Phase::Copy(from) => self.copy(around, from),
            &mut Phase::Digest(from) => {
                if let Some(next) = self.make_digests(around, from) {
                    self.phase = Phase::Digest(next);
                } else {
                    let digest = self.digest(&record.state);
                    let head = self.head(name, record, digest);
                    self.phase = Phase::Record(digest, Box::new(Writer::new(head, &record.state)?));
                }
                Ok(Outcome::More)
            }
            Phase::Record(digest, writer) => {
                let done = writer.step(around, &self.tree)?;
                Ok(if done { Outcome::Complete(*digest, writer.take_slots()) } else { Outcome::More })
            }
        }
    }

    /// Settle a page now if it is not settled yet: somebody wants to write it.
    pub(crate) fn settle<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        page: u64,
    ) -> Result<(), Refusal> {
        if !self.todo.contains(page) {
            return Ok(());
        }
        let before = self.tree.get(page);
        if around.outside.is_same(around.vm, page, ZERO) {
            if before != ZERO {
                self.tree.set(page, ZERO, around.store);
            }
        } else if before == ZERO || !around.outside.is_same(around.vm, page, before) {
            let slot = around.store.take(around.vm).ok_or(Refusal::StoreFull)?;
            around.outside.save(around.vm, page, slot);
            self.tree.set(page, slot, around.store);
            self.new_pages += 1;
        }
        self.todo.set(page, false);
        Ok(())
    }

    fn read_books<O: Outside>(&mut self, around: &mut Around<'_, O>, from: u64) {
        let mut bits = [0; BOOK_WORDS];
        let books = Books { epoch: self.epoch, forget: true };
        let read = around.outside.harvest(around.vm, from..self.todo.limit(), books, &mut bits);
        self.phase = match read {
            Ok(Harvest { first, next }) => {
                self.dirty.add(first, &bits);
                next.filter(|next| *next > from).map_or(Phase::Copy(0), Phase::Books)
            }
            Err(_) => {
                // What cannot be known counts as written.
                self.dirty.fill(true);
                Phase::Copy(0)
            }
        };
        if matches!(self.phase, Phase::Copy(_)) {
            self.todo.keep(&self.dirty);
        }
    }

    fn copy<O: Outside>(&mut self, around: &mut Around<'_, O>, from: u64) -> Result<Outcome, Refusal> {
        let mut next = from;
        for _ in 0..COPY_PAGES {
            let Some(page) = self.todo.next(next) else {
                self.phase = Phase::Digest(0);
                return Ok(Outcome::Settled);
            };
            self.settle(around, page)?;
            next = page + 1;
        }
        self.phase = Phase::Copy(next);
        Ok(Outcome::More)
    }

    /// What its record begins with.
    fn head(&self, name: &str, record: &Record, digest: Digest) -> Head {
        Head {
            id: self.id,
            vm: name.into(),
            parent: record.parent,
            at_ms: record.at_ms,
            new_pages: self.new_pages,
            pages: self.todo.limit(),
            digest,
            state_bytes: record.state.len() as u32,
            leaves: self.tree.leaves(0).count() as u32,
        }
    }

    /// Makes the digests of the leaves from a number on that have none; the leaf to go on with.
    fn make_digests<O: Outside>(&self, around: &mut Around<'_, O>, from: u32) -> Option<u32> {
        let mut made = 0;
        for (looked, (number, leaf)) in self.tree.leaves(from).enumerate() {
            if looked >= LEAVES {
                return Some(number);
            }
            if leaf.digest().is_some() {
                continue;
            }
            let mut sums = [0; FAN as usize];
            for (sum, slot) in sums.iter_mut().zip(leaf.slots()).filter(|(_, slot)| **slot != ZERO) {
                *sum = match around.store.sum(*slot) {
                    Some(sum) => sum,
                    // What was made so far is kept with the slots.
                    None if made >= SUM_PAGES => return Some(number),
                    None => {
                        made += 1;
                        let sum = sum_of(around.outside.get(*slot));
                        around.store.set_sum(*slot, sum);
                        sum
                    }
                };
            }
            leaf.make_digest(&sums);
        }
        None
    }

    /// The digest of the checkpoint, once those of its leaves are made.
    fn digest(&self, state: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"understudy checkpoint 2\0");
        hasher.update(&self.todo.limit().to_le_bytes());
        hasher.update(&(state.len() as u64).to_le_bytes());
        hasher.update(state);
        for (number, leaf) in self.tree.leaves(0) {
            hasher.update(&number.to_le_bytes());
            hasher.update(&leaf.digest().unwrap_or(0).to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}
