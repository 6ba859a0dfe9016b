// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of address spaces: a header page, the root table, and a pool of table pages.

use crate::Endpoint;
use crate::frame::{clear, read_word, write_word};
use crate::reference::{Object, Ref, Tag};
use crate::slot::SlotArray;
use abi::PAGE_SIZE;
use abi::object::ObjectType;
use addr::PhysAddr;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

/// The table pages of a space.
#[repr(C)]
pub struct Pool {
    /// First page never used so far.
    fresh: Cell<u64>,
    /// End of the object.
    end: Cell<u64>,
    /// Pages given back; each one's first word names the next.
    free: Cell<u64>,
}

impl Pool {
    fn initialise(&self, object: u64, size_bits: u8) {
        self.fresh.set(object + 2 * abi::PAGE_SIZE);
        self.end.set(object + (1 << size_bits));
    }

    fn take(&self) -> Option<u64> {
        let free = self.free.get();
        if free != 0 {
            self.free.set(read_word(free, 0));
            write_word(free, 0, 0);
            return Some(free);
        }
        let fresh = self.fresh.get();
        if fresh >= self.end.get() {
            return None;
        }
        self.fresh.set(fresh + abi::PAGE_SIZE);
        Some(fresh)
    }

    fn give_back(&self, page: u64) {
        clear(page, abi::PAGE_SIZE);
        write_word(page, 0, self.free.get());
        self.free.set(page);
    }
}

/// A user page table.
#[repr(C)]
pub struct HostSpace {
    /// Its number ([`crate::space_of`]).
    pub id: Cell<u64>,
    /// Its table pages.
    pub pool: Pool,
}

const _: () =
    assert!(size_of::<HostSpace>() <= PAGE_SIZE as usize && size_of::<GuestSpace>() <= PAGE_SIZE as usize);

// SAFETY: cells only, zero is valid, and the size is checked above.
unsafe impl Object for HostSpace {
    const TYPE: ObjectType = ObjectType::HostSpace;
}

/// The nested page table of a VM.
#[repr(C)]
pub struct GuestSpace {
    /// [`Tag::GuestSpace`].
    pub tag: Cell<u64>,
    /// Its number ([`crate::space_of`]).
    pub id: Cell<u64>,
    /// Its table pages.
    pub pool: Pool,
    /// Epoch of the books of written pages.
    pub epoch: Cell<u64>,
    /// Counts the cuts of permissions; a vCPU that last ran under another number flushes first.
    pub generation: AtomicU64,
    /// CPUs that may have run this guest or written its memory since the last cut, a bit each.
    users: AtomicU64,
    /// The endpoint that is asked before a sealed page is written.
    pub pager: Cell<Option<Ref<Endpoint>>>,
    /// Slot of the pager.
    pub pager_slot: SlotArray<1>,
}

// SAFETY: cells and atomics only, zero is valid, and the size is checked above.
unsafe impl Object for GuestSpace {
    const TYPE: ObjectType = ObjectType::GuestSpace;
}

impl HostSpace {
    /// Set up the header of a fresh object of this size.
    pub fn initialise(this: Ref<Self>, size_bits: u8) {
        this.pool.initialise(this.address(), size_bits);
        for index in 256..512 {
            write_word(this.address() + abi::PAGE_SIZE, index, x86_machine::space::kernel_entry(index));
        }
    }
}

impl GuestSpace {
    /// Set up the header of a fresh object of this size.
    pub fn initialise(this: Ref<Self>, size_bits: u8) {
        this.tag.set(Tag::GuestSpace as u64);
        this.generation.store(1, core::sync::atomic::Ordering::Relaxed);
        this.pool.initialise(this.address(), size_bits);
    }

    /// Notes that a CPU is about to run this guest or to write its memory. What it reads of
    /// generation and tables after this is new, or a cut finds its bit: the cut changes both before
    /// it takes the bits.
    pub fn enter(&self, cpu: usize) {
        let bit = 1 << cpu;
        if self.users.load(Ordering::SeqCst) & bit == 0 {
            self.users.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// A right has been cut in the tables: begins a new generation. The CPUs that may still use the
    /// old one have to leave the guest, and whatever they do, before the cut is relied on.
    #[must_use = "a cut may be relied on only after these CPUs have been interrupted"]
    pub fn cut(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.users.swap(0, Ordering::SeqCst)
    }
}

const _: () = assert!(abi::boot::MAX_CPUS <= 64, "a set of CPUs is a word");

/// The tables of a space, as the page-table engine sees them.
pub struct Tables<'a> {
    pool: &'a Pool,
    root: PhysAddr,
}

impl<'a> Tables<'a> {
    /// The tables of a host space.
    #[must_use]
    pub fn of_host(space: Ref<HostSpace>) -> Tables<'static> {
        Tables { pool: &space.get().pool, root: PhysAddr::known(space.address() + abi::PAGE_SIZE) }
    }

    /// The tables of a guest space.
    #[must_use]
    pub fn of_guest(space: Ref<GuestSpace>) -> Tables<'static> {
        Tables { pool: &space.get().pool, root: PhysAddr::known(space.address() + abi::PAGE_SIZE) }
    }

    /// The root table.
    #[must_use]
    pub const fn root(&self) -> PhysAddr {
        self.root
    }
}

impl paging::TableMemory for Tables<'_> {
    fn read(&self, table: PhysAddr, index: usize) -> u64 {
        read_word(table.as_u64(), index)
    }

    fn write(&mut self, table: PhysAddr, index: usize, entry: u64) {
        write_word(table.as_u64(), index, entry);
    }

    fn alloc(&mut self) -> Option<PhysAddr> {
        self.pool.take().map(PhysAddr::known)
    }

    fn free(&mut self, table: PhysAddr) {
        self.pool.give_back(table.as_u64());
    }
}
