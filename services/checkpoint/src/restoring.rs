// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making guest memory what it was, while its vCPUs stand still.
//!
//! Work is in proportion to what was written since the head and to what differs between the head
//! and the checkpoint. A page that happens to be right is not written. In the end a seal begins a
//! new epoch, so that the books tell from then on what was written since the checkpoint.

use crate::bitmap::Bitmap;
use crate::making::BOOK_WORDS;
use crate::outside::{Books, Harvest, Outside};
use crate::store::Store;
use crate::tree::Tree;
use crate::vm::{Around, Head};

/// Pages looked at in one step.
const PAGES: u32 = 32;

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is more to do.
    More,
    /// Guest memory is right, and the books are those of a new epoch.
    Complete(u64),
    /// Guest memory is right; what is written from now on is not known.
    CompleteWithoutBooks,
}

#[derive(Debug)]
enum Phase {
    /// Reading the books from this page on.
    Books(u64),
    /// Writing from this page on.
    Write(u64),
    /// Making the books forget, from this page on, an epoch; the next one is the present.
    Forget(u64, u64),
}

/// A checkpoint that is being restored.
#[derive(Debug)]
pub(crate) struct Restoring {
    id: u64,
    tree: Tree,
    /// Pages that may be different from the head.
    written: Bitmap,
    /// The next page where tree and head may differ, `u64::MAX` for none, once looked for.
    unshared: Option<u64>,
    phase: Phase,
    pages: u64,
}

impl Restoring {
    pub(crate) fn new(id: u64, tree: Tree, since: Bitmap, has_head: bool) -> Self {
        let phase = if has_head { Phase::Books(0) } else { Phase::Write(0) };
        Self { id, tree, written: since, unshared: None, phase, pages: 0 }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Pages that had to be written.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    pub(crate) fn into_tree(self) -> Tree {
        self.tree
    }

    pub(crate) fn release(self, store: &mut Store) {
        self.tree.release(store);
    }

    /// One bounded step.
    ///
    /// # Errors
    /// The core's: guest memory is neither the one thing nor the other then.
    pub(crate) fn step<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        head: Option<&Head>,
        epoch: Option<u64>,
    ) -> Result<Outcome, u64> {
        match self.phase {
            Phase::Books(from) => {
                self.read_books(around, from, epoch);
                Ok(Outcome::More)
            }
            Phase::Write(from) => self.write(around, from, head),
            Phase::Forget(from, epoch) => Ok(self.forget(around, from, epoch)),
        }
    }

    fn read_books<O: Outside>(&mut self, around: &mut Around<'_, O>, from: u64, epoch: Option<u64>) {
        let mut bits = [0; BOOK_WORDS];
        let pages = from..self.written.limit();
        let read = epoch.and_then(|epoch| {
            around.outside.harvest(around.vm, pages, Books { epoch, forget: false }, &mut bits).ok()
        });
        self.phase = match read {
            Some(Harvest { first, next }) => {
                self.written.add(first, &bits);
                next.filter(|next| *next > from).map_or(Phase::Write(0), Phase::Books)
            }
            None => {
                self.written.fill(true);
                Phase::Write(0)
            }
        };
    }

    /// The next page that may have to be written.
    fn candidate(&mut self, from: u64, head: Option<&Head>) -> Option<u64> {
        if self.unshared.is_none_or(|page| page < from) {
            // To find it can mean to pass over the whole tree.
            let unshared = head.and_then(|head| head.tree.next_unshared(&self.tree, from));
            self.unshared = Some(unshared.unwrap_or(u64::MAX));
        }
        let unshared = self.unshared.filter(|page| *page != u64::MAX);
        match (self.written.next(from), unshared) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn write<O: Outside>(
        &mut self,
        around: &mut Around<'_, O>,
        from: u64,
        head: Option<&Head>,
    ) -> Result<Outcome, u64> {
        let mut next = from;
        for _ in 0..PAGES {
            let Some(page) = self.candidate(next, head) else {
                return Ok(self.seal(around));
            };
            next = page + 1;
            let slot = self.tree.get(page);
            let is_right =
                !self.written.contains(page) && head.is_some_and(|head| head.tree.get(page) == slot);
            if !is_right && !around.outside.is_same(around.vm, page, slot) {
                around.outside.write_guest(around.vm, page, slot)?;
                self.pages += 1;
            }
        }
        self.phase = Phase::Write(next);
        Ok(Outcome::More)
    }

    fn seal<O: Outside>(&mut self, around: &mut Around<'_, O>) -> Outcome {
        match around.outside.seal(around.vm) {
            Ok(epoch) => {
                self.phase = Phase::Forget(0, epoch.saturating_sub(1));
                Outcome::More
            }
            Err(_) => Outcome::CompleteWithoutBooks,
        }
    }

    fn forget<O: Outside>(&mut self, around: &mut Around<'_, O>, from: u64, epoch: u64) -> Outcome {
        let mut bits = [0; BOOK_WORDS];
        let pages = from..self.written.limit();
        match around.outside.harvest(around.vm, pages, Books { epoch, forget: true }, &mut bits) {
            Ok(Harvest { next: Some(next), .. }) if next > from => {
                self.phase = Phase::Forget(next, epoch);
                Outcome::More
            }
            // What was not forgotten is found once more at the next checkpoint, and compared.
            Ok(_) | Err(_) => Outcome::Complete(epoch.saturating_add(1)),
        }
    }
}
