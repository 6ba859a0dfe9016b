// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks: address ranges as naturally aligned powers of two, the only sizes that frames come in.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use abi::{PAGE_BITS, PAGE_SIZE};

/// A naturally aligned power of two of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// First address.
    pub address: u64,
    /// log2 of the bytes.
    pub bits: u8,
}

impl Block {
    /// Bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        1 << self.bits
    }
}

/// The fewest blocks of at most `1 << max_bits` bytes that cover the pages from `start` to `end`
/// (rounded outwards).
#[must_use]
pub fn cover(start: u64, end: u64, max_bits: u8) -> Vec<Block> {
    let mut address = start & !(PAGE_SIZE - 1);
    let end = end.saturating_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1);
    let mut blocks = Vec::new();
    while address < end {
        let aligned = if address == 0 { 63 } else { address.trailing_zeros() as u8 };
        let fitting = (end - address).ilog2() as u8;
        let bits = aligned.min(fitting).min(max_bits).max(PAGE_BITS);
        blocks.push(Block { address, bits });
        address += 1 << bits;
    }
    blocks
}

/// How many table pages a four-level space needs, its root table not counted, to map `blocks` with
/// the largest pages that fit.
#[must_use]
pub fn table_count(blocks: impl Iterator<Item = Block>) -> u64 {
    let mut tables: BTreeSet<(u8, u64)> = BTreeSet::new();
    for block in blocks {
        for level_bits in [39, 30, 21] {
            if block.bits >= level_bits {
                break;
            }
            // Blocks are naturally aligned: one that is smaller than a table's reach lies within
            // one table.
            tables.insert((level_bits, block.address >> level_bits));
        }
    }
    tables.len() as u64
}

/// log2 of the bytes of a space (header page, root table, pool) for this many tables.
#[must_use]
pub fn space_bits(tables: u64) -> u8 {
    let pages = tables + 2;
    (PAGE_BITS + pages.next_power_of_two().ilog2() as u8).max(14)
}

/// log2 of the bytes of a guest space whose memory may be split into 4 KiB pages throughout.
#[must_use]
pub fn guest_space_bits(memory_bytes: u64) -> u8 {
    space_bits(memory_bytes.div_ceil(2 << 20) + memory_bytes.div_ceil(1 << 30) + 6)
}

#[cfg(test)]
mod tests {
    use super::{Block, cover, guest_space_bits, space_bits, table_count};

    #[test]
    fn blocks_cover_exactly_the_pages_and_are_aligned() {
        for (start, end) in
            [(0x40_0000, 0x40_0001), (0x40_1000, 0x47_3000), (0x1000, 0x40_2000), (0x40_bfc8, 0x40_c010)]
        {
            let blocks = cover(start, end, 21);
            let mut at = start & !0xfff;
            for block in blocks {
                assert_eq!(block.address, at);
                assert_eq!(at % block.size(), 0);
                assert!(block.bits <= 21);
                at += block.size();
            }
            assert_eq!(at, (end + 0xfff) & !0xfff);
        }
    }

    #[test]
    fn an_empty_range_has_no_blocks() {
        assert!(cover(0x1000, 0x1000, 21).is_empty());
    }

    #[test]
    fn tables_are_counted_once() {
        let page = |address| Block { address, bits: 12 };
        assert_eq!(table_count([page(0x40_0000), page(0x40_1000)].into_iter()), 3);
        assert_eq!(table_count([page(0x40_0000), page(0x60_0000)].into_iter()), 4);
        let large = Block { address: 0x2000_0000_0000, bits: 28 };
        assert_eq!(table_count([large].into_iter()), 2);
        let huge = Block { address: 0x2000_0000_0000, bits: 30 };
        assert_eq!(table_count([huge].into_iter()), 1);
    }

    #[test]
    fn spaces_have_room_for_their_tables() {
        assert_eq!(space_bits(0), 14);
        assert_eq!(space_bits(2), 14);
        assert_eq!(space_bits(3), 15);
        assert_eq!(guest_space_bits(256 << 20), 20);
        assert_eq!(guest_space_bits(32 << 20), 17);
    }
}
