// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the books of written pages, and forgetting what was read.
//!
//! Owns the walk over the leaves of a guest table and the bitmap that it fills. The bits themselves
//! are set where a page is mapped or unsealed ([`crate::GuestTable`]). A walk visits each table
//! once; what is absent or was not written costs one look per entry, and so many looks end a call
//! (invariant I4).

use addr::{GuestPhysAddr, PageSize, PhysAddr};

use crate::entry::{self, Entry};
use crate::guest::GuestTable;
use crate::walk::LEVELS;
use crate::{ENTRIES, TableMemory};

/// Entries that one call looks at, and up to 63 more.
const LOOKS: u32 = 1 << 14;
/// Bytes that a word of the bitmap stands for.
const WORD_BYTES: u64 = 64 << 12;

/// What to read from the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HarvestRequest {
    /// First page (an address within it).
    pub from: GuestPhysAddr,
    /// Address where to stop.
    pub end: u64,
    /// The present epoch or the one before.
    pub epoch: u64,
    /// Forget what is read; only for the epoch before.
    pub forget: bool,
}

/// The books hold nothing of that epoch, or not so that it could be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEpoch;

/// How far a harvest came. `first` and `next` are multiples of 64 pages if the beginning and the
/// end of the request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Address of the page that the lowest bit stands for: no page before it was written.
    pub first: u64,
    /// Address after the last page covered.
    pub next: u64,
    /// Whether the end has not been reached.
    pub more: bool,
    /// Words of the bitmap up to the last one that is not zero.
    pub words: usize,
}

/// The bitmap under way. It begins at the first page that was written.
struct Bitmap<'a> {
    words: &'a mut [u64],
    used: usize,
    from: u64,
    first: Option<u64>,
}

impl GuestTable {
    /// Reads the books: sets the bit of each page written in the epoch. The work is bounded. A
    /// large leaf is forgotten when its end is covered; pages of it that lie beyond the end of the
    /// request are reported too.
    ///
    /// # Errors
    /// [`BadEpoch`]; nothing was read or forgotten.
    pub fn harvest(
        &self,
        mem: &mut impl TableMemory,
        request: HarvestRequest,
        out: &mut [u64],
    ) -> Result<Progress, BadEpoch> {
        let before = request.epoch.checked_add(1) == Some(self.epoch);
        if !before && (request.epoch != self.epoch || request.forget) {
            return Err(BadEpoch);
        }
        out.fill(0);
        let from = request.from.align_down(PageSize::Size4K).as_u64();
        let end = request.end.min(Self::END);
        let mut bitmap = Bitmap { words: out, used: 0, from, first: None };
        let (mut cursor, mut looks) = (from, LOOKS);
        while cursor < end {
            let (table, level) = self.lowest_table(mem, cursor);
            let bits = entry::level_bits(level);
            for index in entry::index_of(cursor, level)..ENTRIES {
                if cursor >= end {
                    break;
                }
                if looks == 0 && cursor.is_multiple_of(WORD_BYTES) {
                    return Ok(bitmap.progress(cursor, true));
                }
                looks = looks.saturating_sub(1);
                let found = Entry(mem.read(table, index));
                let next = ((cursor >> bits) + 1) << bits;
                if found.is_present() {
                    if !found.is_leaf(level) {
                        // Down to that table.
                        break;
                    }
                    if found.is_written(request.epoch) {
                        let covered = bitmap.mark(cursor, next);
                        if covered < next {
                            return Ok(bitmap.progress(covered, true));
                        }
                        if request.forget {
                            mem.write(table, index, found.without_written(request.epoch).0);
                        }
                    }
                }
                cursor = next;
            }
        }
        Ok(bitmap.progress(end.max(from), false))
    }

    /// The deepest table on the path to an address, and its level.
    fn lowest_table(&self, mem: &impl TableMemory, address: u64) -> (PhysAddr, u8) {
        let mut table = self.root;
        for level in (2..=LEVELS).rev() {
            let found = Entry(mem.read(table, entry::index_of(address, level)));
            if !found.is_present() || found.is_leaf(level) {
                return (table, level);
            }
            table = found.address();
        }
        (table, 1)
    }
}

impl Bitmap<'_> {
    /// Sets the bits of the pages from `start` to `end`, as far as the bitmap reaches. Returns
    /// where it ended, or the pages did.
    fn mark(&mut self, start: u64, end: u64) -> u64 {
        let begin = (start & !(WORD_BYTES - 1)).max(self.from);
        let first = *self.first.get_or_insert(begin);
        let reach = first.saturating_add(self.words.len() as u64 * WORD_BYTES);
        if start >= reach {
            // What lies between was not written.
            return begin.max(reach);
        }
        let stop = end.min(reach);
        let (mut page, last) = ((start - first) >> 12, (stop - first) >> 12);
        while page < last {
            let upto = last.min((page | 63) + 1);
            let mask = (!0 >> (64 - (upto - page))) << (page % 64);
            if let Some(word) = self.words.get_mut((page / 64) as usize) {
                *word |= mask;
            }
            page = upto;
        }
        self.used = last.div_ceil(64) as usize;
        stop
    }

    fn progress(&self, next: u64, more: bool) -> Progress {
        Progress { first: self.first.unwrap_or(self.from), next, more, words: self.used }
    }
}
