// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arithmetic of memory ranges: joining, taking out, cutting into blocks.

use alloc::vec::Vec;

use abi::{PAGE_BITS, PAGE_SIZE};
use api::estate::{self, Range};

use crate::block::{self, Block};

/// log2 of the bytes of the largest block that changes owner at once.
pub const LARGEST_BITS: u8 = 30;

/// The same memory, sorted, with what touches or overlaps joined and nothing empty.
#[must_use]
pub fn join(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.retain(|range| range.bytes > 0);
    ranges.sort_by_key(|range| range.base);
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.base <= last.end() => {
                last.bytes = last.bytes.max(range.end().saturating_sub(last.base));
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// What of `ranges` is not in `without`; both joined, and so is the result.
#[must_use]
pub fn subtract(ranges: &[Range], without: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    for range in ranges {
        let mut base = range.base;
        for hole in without.iter().filter(|hole| hole.base < range.end() && hole.end() > range.base) {
            if hole.base > base {
                left.push(Range { base, bytes: hole.base - base });
            }
            base = base.max(hole.end());
        }
        if base < range.end() {
            left.push(Range { base, bytes: range.end() - base });
        }
    }
    left
}

/// Whole pages that contain `bytes` bytes from `base` on.
#[must_use]
pub fn pages(base: u64, bytes: u64) -> Range {
    let start = base & !(PAGE_SIZE - 1);
    let end = base.saturating_add(bytes).next_multiple_of(PAGE_SIZE);
    Range { base: start, bytes: end.saturating_sub(start) }
}

/// Naturally aligned blocks of at most 1 GiB that make up the ranges.
pub fn blocks(ranges: &[Range]) -> impl Iterator<Item = Block> + '_ {
    ranges.iter().flat_map(|range| block::cover(range.base, range.end(), LARGEST_BITS))
}

/// The largest blocks of memory that lie in a piece of `1 << bits` bytes at `base` from offset
/// `used` on, lowest first: in the order in which the core hands them out without gaps.
#[must_use]
pub fn rest(base: u64, bits: u8, used: u64) -> Vec<Block> {
    block::cover(base.saturating_add(used), base.saturating_add(1 << bits), LARGEST_BITS)
}

/// Whether blocks that another instance tells of are what root makes frames of, mapped one after
/// the other from `address` on.
#[must_use]
pub fn follow_each_other(blocks: &[estate::Block], address: u64) -> bool {
    let mut next = address;
    blocks.iter().all(|block| {
        let fits = (PAGE_BITS..=LARGEST_BITS).contains(&block.bits) && block.at == next;
        let size = 1 << block.bits.min(LARGEST_BITS);
        next = next.saturating_add(size);
        fits && block.base % size == 0 && block.at % size == 0
    })
}

/// Whether blocks that another instance tells of make up guest memory of so many bytes: mapped from
/// guest-physical 0 on, no more and no less.
#[must_use]
pub fn make_up(blocks: &[estate::Block], bytes: u64) -> bool {
    let size = |block: &estate::Block| 1 << block.bits;
    follow_each_other(blocks, 0) && blocks.iter().map(size).fold(0, u64::saturating_add) == bytes
}

/// Whether a module that another instance tells of lies in whole pages, of `most` bytes at most,
/// and its bytes in those.
#[must_use]
pub fn is_within_pages(module: &estate::Module, most: u64) -> bool {
    let Range { base, bytes } = module.range;
    let whole = base % PAGE_SIZE == 0 && bytes % PAGE_SIZE == 0 && base.checked_add(bytes).is_some();
    whole && module.bytes <= bytes && bytes <= most
}

#[cfg(test)]
mod tests {
    use super::{Range, blocks, follow_each_other, is_within_pages, join, make_up, pages, rest, subtract};
    use alloc::string::String;
    use api::estate::{Block, Module};

    fn ranges(pairs: &[(u64, u64)]) -> Vec<Range> {
        pairs.iter().map(|&(base, end)| Range { base, bytes: end - base }).collect()
    }

    #[test]
    fn touching_and_overlapping_ranges_become_one() {
        let mixed = ranges(&[(0x8000, 0x9000), (0x1000, 0x3000), (0x3000, 0x4000), (0x2000, 0x2000)]);
        assert_eq!(join(mixed), ranges(&[(0x1000, 0x4000), (0x8000, 0x9000)]));
        assert_eq!(join(ranges(&[(0, 10), (2, 4), (5, 12)])), ranges(&[(0, 12)]));
    }

    #[test]
    fn holes_are_taken_out_wherever_they_lie() {
        let all = ranges(&[(0, 100), (200, 300)]);
        assert_eq!(subtract(&all, &ranges(&[(50, 60), (90, 210), (300, 400)])), {
            ranges(&[(0, 50), (60, 90), (210, 300)])
        });
        assert_eq!(subtract(&all, &ranges(&[(0, 400)])), []);
        assert_eq!(subtract(&all, &[]), all);
    }

    #[test]
    fn blocks_are_aligned_and_make_up_the_whole() {
        let whole = ranges(&[(0x10_0000, 0x1234_5000), (0x1_0000_0000, 0x2_4000_0000)]);
        let mut at = Vec::new();
        for block in blocks(&whole) {
            assert!(block.bits <= 30 && block.address % block.size() == 0);
            at.push(Range { base: block.address, bytes: block.size() });
        }
        assert_eq!(join(at), whole);
    }

    #[test]
    fn the_rest_of_a_piece_begins_where_it_is_used_up() {
        let blocks = rest(0x4000_0000, 22, 0x3000);
        assert_eq!(blocks.first().map(|block| (block.address, block.bits)), Some((0x4000_3000, 12)));
        let total: u64 = blocks.iter().map(|block| block.size()).sum();
        assert_eq!(total, (1 << 22) - 0x3000);
        assert!(rest(0x4000_0000, 22, 1 << 22).is_empty());
    }

    #[test]
    fn blocks_of_a_window_follow_each_other_without_gaps() {
        let block = |base, bits, at| Block { base, bits, at };
        let good = [block(0x4000_0000, 30, 1 << 40), block(0x20_0000, 21, (1 << 40) + (1 << 30))];
        assert!(follow_each_other(&good, 1 << 40) && follow_each_other(&[], 5));
        for bad in [
            [good[1], good[0]],
            [good[0], good[0]],
            [good[0], Block { bits: 22, ..good[1] }],
            [good[0], Block { base: 0x1000, ..good[1] }],
            [Block { bits: 31, ..good[0] }, good[1]],
            [Block { bits: 255, ..good[0] }, good[1]],
            [Block { bits: 0, ..good[0] }, good[1]],
        ] {
            assert!(!follow_each_other(&bad, 1 << 40), "{bad:?}");
        }
        assert!(!follow_each_other(&[block(0, 30, !((1 << 30) - 1)); 2], !((1 << 30) - 1)));
    }

    #[test]
    fn guest_memory_is_told_of_from_zero_to_its_end() {
        const BYTES: u64 = (1 << 30) + (1 << 21);
        let block = |base, bits, at| Block { base, bits, at };
        let good = [block(0x4000_0000, 30, 0), block(0x20_0000, 21, 1 << 30)];
        assert!(make_up(&good, BYTES) && make_up(&[], 0));
        let after = |at| [good[0], Block { at, ..good[1] }];
        let hole = after((1 << 30) + (1 << 21));
        let overlap = after((1 << 30) - (1 << 21));
        let outside = after(!((1 << 21) - 1));
        let wrap = [good[0], block(0, 21, 0)];
        for bad in [&hole[..], &overlap, &outside, &wrap, &good[..1], &good[1..], &[], &[good[1], good[0]]] {
            assert!(!make_up(bad, BYTES), "{bad:?}");
        }
        let longer = [good[0], good[1], block(0, 12, BYTES)];
        assert!(!make_up(&longer, BYTES) && !make_up(&good, BYTES - (1 << 21)) && !make_up(&good, u64::MAX));
        for bits in [0, 11, 31, 63, 64, 255] {
            assert!(!make_up(&[Block { bits, ..good[0] }, good[1]], BYTES), "{bits}");
        }
    }

    #[test]
    fn a_module_lies_in_its_pages() {
        const MOST: u64 = 7 << 30;
        let module =
            |base, size, bytes| Module { name: String::new(), range: Range { base, bytes: size }, bytes };
        assert!(is_within_pages(&module(0x1000, 0x2000, 0x1001), MOST));
        assert!(is_within_pages(&module(0x1000, MOST, MOST), MOST));
        for bad in [
            module(0x1000, 0x2000, 0x2001),
            module(0x1000, 0x2000, u64::MAX),
            module(0x1800, 0x2000, 0x1000),
            module(0x1000, 0x1800, 0x1000),
            module(0x1000, MOST + 0x1000, 0x1000),
            module(0x1000, !0xfff, 0x1000),
            module(!0xfff, 0x2000, 0x1000),
        ] {
            assert!(!is_within_pages(&bad, MOST), "{bad:?}");
        }
    }

    #[test]
    fn pages_contain_all_bytes() {
        assert_eq!(pages(0x1fff, 2), Range { base: 0x1000, bytes: 0x2000 });
        assert_eq!(pages(0x1000, 0), Range { base: 0x1000, bytes: 0 });
    }
}
