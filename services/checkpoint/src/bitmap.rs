// SPDX-License-Identifier: MIT OR Apache-2.0
//! A set of pages.

use alloc::vec;
use alloc::vec::Vec;

/// A set of page numbers below a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    limit: u64,
}

impl Bitmap {
    pub(crate) fn empty(limit: u64) -> Self {
        Self { words: vec![0; limit.div_ceil(64) as usize], limit }
    }

    pub(crate) fn full(limit: u64) -> Self {
        let mut bitmap = Self::empty(limit);
        bitmap.fill(true);
        bitmap
    }

    /// Make every page a member, or none.
    pub(crate) fn fill(&mut self, member: bool) {
        self.words.fill(if member { !0 } else { 0 });
        self.cut();
    }

    /// Takes out what lies beyond the limit.
    fn cut(&mut self) {
        let beyond = self.limit % 64;
        if let Some(last) = self.words.last_mut()
            && beyond != 0
        {
            *last &= (1 << beyond) - 1;
        }
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        self.word(page).is_some_and(|word| word >> (page % 64) & 1 != 0)
    }

    pub(crate) fn set(&mut self, page: u64, member: bool) {
        if page >= self.limit {
            return;
        }
        if let Some(word) = self.words.get_mut((page / 64) as usize) {
            let bit = 1 << (page % 64);
            if member { *word |= bit } else { *word &= !bit }
        }
    }

    /// Adds the pages whose bits are set in `words`, the lowest bit for page `first`. Where that is
    /// not the beginning of a word nothing can be told, and every page is added.
    pub(crate) fn add(&mut self, first: u64, words: &[u64]) {
        if !first.is_multiple_of(64) {
            self.fill(true);
            return;
        }
        let from = self.words.get_mut((first / 64) as usize..).unwrap_or_default();
        from.iter_mut().zip(words).for_each(|(word, more)| *word |= more);
        self.cut();
    }

    /// The first member from `from` on.
    pub(crate) fn next(&self, from: u64) -> Option<u64> {
        let first = (from / 64) as usize;
        let mask = !0 << (from % 64);
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let word = if index == first { word & mask } else { *word };
            if word != 0 {
                return Some(index as u64 * 64 + u64::from(word.trailing_zeros()));
            }
        }
        None
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Keep only members that are in another set of the same limit too.
    pub(crate) fn keep(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word &= more;
        }
    }

    fn word(&self, page: u64) -> Option<u64> {
        self.words.get((page / 64) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    #[test]
    fn words_are_added_where_they_belong_and_not_beyond_the_limit() {
        let mut bitmap = Bitmap::empty(130);
        bitmap.set(64, true);
        bitmap.add(64, &[1 << 5, !0, !0]);
        assert_eq!((0..200).filter(|page| bitmap.contains(*page)).collect::<Vec<_>>(), [64, 69, 128, 129]);
        bitmap.add(1 << 40, &[!0]);
        assert_eq!(bitmap.count(), 4);
        bitmap.add(1, &[0]);
        assert_eq!(bitmap.count(), 130, "what is not known counts as written");
    }

    #[test]
    fn members_are_found_in_order_and_none_beyond_the_limit() {
        let mut bitmap = Bitmap::empty(130);
        for page in [0, 63, 64, 129, 130, 1000] {
            bitmap.set(page, true);
        }
        let mut found = vec![];
        let mut from = 0;
        while let Some(page) = bitmap.next(from) {
            found.push(page);
            from = page + 1;
        }
        assert_eq!(found, [0, 63, 64, 129]);
        assert_eq!(Bitmap::full(130).count(), 130);
        assert_eq!(Bitmap::full(128).count(), 128);
        assert!(!Bitmap::full(130).contains(130));
        assert_eq!(Bitmap::full(0).next(0), None);
    }
}
