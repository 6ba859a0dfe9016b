// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap: one window of memory behind the global allocator.
//!
//! A first-fit list behind a spin lock. There is one thread, so the lock is never contended; it is
//! there so that the allocator is sound whatever a program does.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use linked_list_allocator::Heap;

struct LockedHeap {
    locked: AtomicBool,
    heap: UnsafeCell<Heap>,
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Blocks allocated so far: for whoever promises to do without.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

// SAFETY: The heap is only reached in `with`, by whoever holds the lock.
unsafe impl Sync for LockedHeap {}

#[cfg_attr(target_os = "none", global_allocator)]
static ALLOCATOR: LockedHeap =
    LockedHeap { locked: AtomicBool::new(false), heap: UnsafeCell::new(Heap::empty()) };

impl LockedHeap {
    fn with<T>(&self, work: impl FnOnce(&mut Heap) -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // SAFETY: The lock was free and is ours; it is given back only after the reference is gone.
        let result = work(unsafe { &mut *self.heap.get() });
        self.locked.store(false, Ordering::Release);
        result
    }
}

// SAFETY: Blocks come from and go back to one list, whose own contract is the same.
unsafe impl GlobalAlloc for LockedHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let block = self.with(|heap| heap.allocate_first_fit(layout));
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: The caller got the block from `alloc` with this layout.
            self.with(|heap| unsafe { heap.deallocate(block, layout) });
        }
    }
}

/// Makes `size` bytes at `address` the heap.
///
/// # Safety
/// They must be mapped readable and writable for good, used for nothing else; and it may be done
/// only once.
pub(crate) unsafe fn init(address: u64, size: u64) {
    if size == 0 {
        return;
    }
    // SAFETY: As the caller promises.
    ALLOCATOR.with(|heap| unsafe { heap.init(address as *mut u8, size as usize) });
}
