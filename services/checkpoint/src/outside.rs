// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the service needs of the outside: guests, and memory for pages.

use core::ops::Range;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// The contents of a page.
pub type Page = [u8; PAGE];

/// The outside. Errors are the core's numbers. `vm` is a VM's place in the list that the service
/// was made with, `page` the number of a guest page, `slot` that of a page of the store.
pub trait Outside {
    /// Seal all memory of a VM; the new epoch.
    ///
    /// # Errors
    /// The core's.
    fn seal(&mut self, vm: usize) -> Result<u64, u64>;

    /// Let a page be written.
    ///
    /// # Errors
    /// The core's.
    fn unseal(&mut self, vm: usize, page: u64) -> Result<(), u64>;

    /// Have sealed writes reported here, or else unsealed by the core.
    ///
    /// # Errors
    /// The core's.
    fn set_pager(&mut self, vm: usize, here: bool) -> Result<(), u64>;

    /// Read the books of an epoch for these pages, and forget them if told so. `bits` takes a bit
    /// per page.
    ///
    /// # Errors
    /// The core's.
    fn harvest(
        &mut self,
        vm: usize,
        pages: Range<u64>,
        books: Books,
        bits: &mut [u64],
    ) -> Result<Harvest, u64>;

    /// Whether a guest page has the contents of a page of the store, as far as nobody writes it.
    /// Where there is no guest page it is zero.
    fn is_same(&self, vm: usize, page: u64, slot: u32) -> bool;

    /// Copy a guest page into the store.
    fn save(&mut self, vm: usize, page: u64, slot: u32);

    /// Write a page of the store into a guest page that is not sealed to anybody.
    ///
    /// # Errors
    /// The core's.
    fn write_guest(&mut self, vm: usize, page: u64, slot: u32) -> Result<(), u64>;

    /// Put a page into the store.
    fn put(&mut self, slot: u32, page: &Page);

    /// A page of the store.
    fn get(&self, slot: u32) -> &[u8];
}

/// Which books to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// Epoch.
    pub epoch: u64,
    /// Whether to forget what is read.
    pub forget: bool,
}

/// How far the books were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Harvest {
    /// Page of the lowest bit, a multiple of 64; no page before it was written.
    pub first: u64,
    /// Page after the last one covered, `None` where that is the end.
    pub next: Option<u64>,
}
