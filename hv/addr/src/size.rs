// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three sizes of a page that x86-64 page tables know (APM vol. 2, 5.1).

/// Size of one mapping in a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB, an entry of a level 1 table.
    Size4K,
    /// 2 MiB, an entry of a level 2 table.
    Size2M,
    /// 1 GiB, an entry of a level 3 table.
    Size1G,
}

impl PageSize {
    /// All sizes, smallest first.
    pub const ALL: [PageSize; 3] = [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G];

    /// log2 of the bytes.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            PageSize::Size4K => 12,
            PageSize::Size2M => 21,
            PageSize::Size1G => 30,
        }
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.bits()
    }

    /// Number of 4 KiB pages in it.
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.bytes() >> 12
    }

    /// The largest size of which a block of `1 << bits` bytes is a multiple, at most `limit`.
    /// `None` for less than a page.
    #[must_use]
    pub const fn largest_within(bits: u8, limit: PageSize) -> Option<Self> {
        if bits >= 30 && limit.bits() >= 30 {
            Some(PageSize::Size1G)
        } else if bits >= 21 && limit.bits() >= 21 {
            Some(PageSize::Size2M)
        } else if bits >= 12 {
            Some(PageSize::Size4K)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PageSize;

    #[test]
    fn the_largest_page_within_a_block_respects_the_limit() {
        assert_eq!(PageSize::largest_within(11, PageSize::Size1G), None);
        assert_eq!(PageSize::largest_within(20, PageSize::Size1G), Some(PageSize::Size4K));
        assert_eq!(PageSize::largest_within(29, PageSize::Size1G), Some(PageSize::Size2M));
        assert_eq!(PageSize::largest_within(30, PageSize::Size1G), Some(PageSize::Size1G));
        assert_eq!(PageSize::largest_within(30, PageSize::Size2M), Some(PageSize::Size2M));
    }
}
