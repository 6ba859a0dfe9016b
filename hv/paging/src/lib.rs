// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page tables of x86-64 with four levels, for host spaces and for guest spaces.
//!
//! Owns the format of entries and every change to a table; invariant I11 (a cut yields a [`Flush`]
//! that has to be spent before anything relies on the cut) and the books of written pages of a
//! guest. The memory of the tables is reached through [`TableMemory`] only, so that the same code
//! runs in the core and in host tests. What it leaves to others: flushing itself, locking, and who
//! may map what.
//!
//! At each single write to a table, a processor that walks it concurrently sees the old or the new
//! mapping, never a broken one; the tests record every write and check it. APM vol. 2, 5.3 (long
//! mode) and 15.25 (nested).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod books;
mod entry;
mod flush;
mod guest;
mod host;
mod memory;
mod unmap;
mod walk;

#[cfg(test)]
mod tests;

pub use books::{BadEpoch, HarvestRequest, Progress};
pub use entry::Perms;
pub use flush::{Flush, Scope};
pub use guest::{FaultStep, GuestTable, UnsealError};
pub use host::HostTable;
pub use memory::TableMemory;
pub use unmap::{Unmap, UnmapStep};
pub use walk::{Block, MapError, Mapping};

/// Entries of a table.
pub const ENTRIES: usize = 512;
