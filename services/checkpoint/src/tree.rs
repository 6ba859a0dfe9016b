// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which page of the store stands for each guest page, in one checkpoint.
//!
//! A radix tree of three levels (1 GiB, 2 MiB, 4 KiB) whose branches are shared between checkpoints
//! until one of them changes. A slot's references are counted per leaf: so to begin a checkpoint
//! costs a pointer per GiB, and two checkpoints are compared without looking at what they share.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use crate::leaf::{FAN, Leaf};
use crate::store::{Store, ZERO};

/// Leaves of 1 GiB; none where all pages are zero.
type Branch = Vec<Option<Rc<Leaf>>>;

/// Slots of all pages of a VM.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    branches: Vec<Option<Rc<Branch>>>,
    pages: u64,
}

impl Tree {
    /// A tree of zero pages.
    pub(crate) fn zero(pages: u64) -> Self {
        Self { branches: vec![None; pages.div_ceil(FAN * FAN) as usize], pages }
    }

    /// Another tree that is the same. Both have to be given back by [`Tree::release`].
    pub(crate) fn share(&self) -> Self {
        Self { branches: self.branches.clone(), pages: self.pages }
    }

    /// The slot of a page.
    pub(crate) fn get(&self, page: u64) -> u32 {
        self.leaf(page).and_then(|leaf| leaf.slots().get((page % FAN) as usize)).copied().unwrap_or(ZERO)
    }

    /// Give a page another slot. The tree takes over the caller's reference to it.
    pub(crate) fn set(&mut self, page: u64, slot: u32, store: &mut Store) {
        if page >= self.pages || self.get(page) == slot {
            store.release(slot);
            return;
        }
        let Some(branch) = self.branches.get_mut((page / FAN / FAN) as usize) else { return };
        let branch = Rc::make_mut(branch.get_or_insert_with(|| Rc::new(vec![None; FAN as usize])));
        let Some(leaf) = branch.get_mut((page / FAN % FAN) as usize) else { return };
        let slots = own(leaf.get_or_insert_with(|| Rc::new(Leaf::new([ZERO; FAN as usize]))), store);
        if let Some(entry) = slots.get_mut((page % FAN) as usize) {
            store.release(core::mem::replace(entry, slot));
        }
    }

    /// The leaves from a number on that have a page that is not zero, each with its number.
    pub(crate) fn leaves(&self, from: u32) -> impl Iterator<Item = (u32, &Rc<Leaf>)> {
        let leaf = |number: u32| Some((number, self.leaf_rc(u64::from(number) * FAN)?));
        let end = self.pages.div_ceil(FAN) as u32;
        (from..end).filter_map(leaf).filter(|(_, leaf)| !leaf.is_zero())
    }

    /// The leaf with this number, if it is there.
    pub(crate) fn leaf_of(&self, number: u32) -> Option<&Leaf> {
        self.leaf(u64::from(number) * FAN)
    }

    /// Put in a leaf that a catalogue names, whose slots have been claimed.
    pub(crate) fn load_leaf(&mut self, number: u32, leaf: Rc<Leaf>) {
        let first = u64::from(number) * FAN;
        if let Some(branch) = self.branches.get_mut((first / FAN / FAN) as usize) {
            let branch = Rc::make_mut(branch.get_or_insert_with(|| Rc::new(vec![None; FAN as usize])));
            if let Some(place) = branch.get_mut((first / FAN % FAN) as usize) {
                *place = Some(leaf);
            }
        }
    }

    /// Give everything back that no other tree shares.
    pub(crate) fn release(self, store: &mut Store) {
        for branch in self.branches.into_iter().flatten() {
            // Shared with another tree: the leaves are that one's too.
            let Some(leaves) = Rc::into_inner(branch) else { continue };
            for leaf in leaves.into_iter().flatten() {
                if let Some(leaf) = Rc::into_inner(leaf) {
                    leaf.release(store);
                }
            }
        }
    }

    /// The first page from `from` on where two trees of one VM may differ. What they share
    /// is passed over.
    pub(crate) fn next_unshared(&self, other: &Self, from: u64) -> Option<u64> {
        let mut page = from;
        while page < self.pages {
            let top = (page / FAN / FAN) as usize;
            let branches = (self.branches.get(top)?, other.branches.get(top)?);
            if same(branches.0.as_ref(), branches.1.as_ref()) {
                page = (page / FAN / FAN + 1) * FAN * FAN;
            } else if same(self.leaf_rc(page), other.leaf_rc(page)) {
                page = (page / FAN + 1) * FAN;
            } else {
                return Some(page);
            }
        }
        None
    }

    fn leaf_rc(&self, page: u64) -> Option<&Rc<Leaf>> {
        let branch = self.branches.get((page / FAN / FAN) as usize)?.as_ref()?;
        branch.get((page / FAN % FAN) as usize)?.as_ref()
    }

    fn leaf(&self, page: u64) -> Option<&Leaf> {
        self.leaf_rc(page).map(|leaf| &**leaf)
    }
}

/// The slots of a leaf, for this tree alone. A copy has references of its own.
fn own<'a>(leaf: &'a mut Rc<Leaf>, store: &mut Store) -> &'a mut [u32] {
    if Rc::strong_count(leaf) > 1 {
        leaf.slots().iter().for_each(|slot| store.retain(*slot));
    }
    Rc::make_mut(leaf).change(store)
}

fn same<T>(one: Option<&Rc<T>>, other: Option<&Rc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Rc::ptr_eq(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;
    use crate::store::Store;

    #[test]
    fn what_a_child_changes_its_parent_keeps() {
        let mut store = Store::new(100, &[1]);
        let mut parent = Tree::zero(3000);
        let first = store.take(0).unwrap();
        parent.set(700, first, &mut store);
        let mut child = parent.share();
        let second = store.take(0).unwrap();
        child.set(701, second, &mut store);
        assert_eq!((parent.get(700), parent.get(701)), (first, 0));
        assert_eq!((child.get(700), child.get(701)), (first, second));
        parent.release(&mut store);
        assert_eq!(store.used(), 2);
        child.release(&mut store);
        assert_eq!((store.used(), store.referenced()), (0, 0));
    }

    #[test]
    fn only_what_is_not_shared_is_compared() {
        let mut store = Store::new(100, &[1]);
        let mut parent = Tree::zero(600_000);
        for page in [5, 300_000] {
            let slot = store.take(0).unwrap();
            parent.set(page, slot, &mut store);
        }
        let mut child = parent.share();
        assert_eq!(parent.next_unshared(&child, 0), None);
        let slot = store.take(0).unwrap();
        child.set(300_001, slot, &mut store);
        assert_eq!(parent.next_unshared(&child, 0), Some(300_001 / 512 * 512));
        assert_eq!(child.next_unshared(&parent, (300_001 / 512 + 1) * 512), None);
        parent.release(&mut store);
        child.release(&mut store);
        assert_eq!(store.used(), 0);
    }

    #[test]
    fn a_page_beyond_the_end_takes_no_slot() {
        let mut store = Store::new(5, &[1]);
        let mut tree = Tree::zero(10);
        let slot = store.take(0).unwrap();
        tree.set(10, slot, &mut store);
        assert_eq!((store.used(), tree.get(10)), (0, 0));
    }
}
