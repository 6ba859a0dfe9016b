// SPDX-License-Identifier: MIT OR Apache-2.0
//! The start of a program: from the registers that the core set to `main`.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use abi::boot::{BootInfo, MAGIC};
use api::Environment;

use crate::{heap, ipc, layout, log, panic, time};

/// The environment, once it is read.
static ENVIRONMENT: AtomicPtr<Environment> = AtomicPtr::new(ptr::null_mut());

/// The environment of this service; `None` in a root service.
#[must_use]
pub fn environment() -> Option<&'static Environment> {
    let environment = ENVIRONMENT.load(Ordering::Acquire);
    // SAFETY: Null, or the leaked box that `service` stored.
    unsafe { environment.as_ref() }
}

/// Second half of [`crate::entry!`].
pub fn service(environment: u64, ipc_buffer: u64, main: fn(&'static Environment)) -> ! {
    let header = environment as *const [u64; 2];
    // SAFETY: Root has mapped the environment there, header first (`layout::ENVIRONMENT`).
    let [size, heap_bytes] = unsafe { header.read() };
    // SAFETY: Root has mapped the IPC buffer and `heap_bytes` of heap, and this is the one start.
    unsafe {
        ipc::set_buffer(ipc_buffer);
        heap::init(layout::HEAP, heap_bytes);
    }
    let size = size.min(layout::ENVIRONMENT_MAX - layout::ENVIRONMENT_HEADER as u64) as usize;
    let bytes = environment as usize + layout::ENVIRONMENT_HEADER;
    // SAFETY: As above: `size` bytes after the header, which nobody writes while the service lives.
    let bytes = unsafe { core::slice::from_raw_parts(bytes as *const u8, size) };
    let Some(environment) = api::interface::decode::<Environment>(bytes) else { panic::die() };
    let environment: &'static Environment = Box::leak(Box::new(environment));
    ENVIRONMENT.store(ptr::from_ref(environment).cast_mut(), Ordering::Release);
    time::set_tsc_khz(environment.tsc_khz);
    log::set_ring(environment.log, environment.cap("log").unwrap_or(0));
    main(environment);
    log::say(format_args!("main returned"));
    panic::die()
}

/// Heap of a root service, in its own image.
#[repr(C, align(4096))]
pub struct RootHeap<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: Only `root` reaches into it, once, to hand it to the allocator.
unsafe impl<const BYTES: usize> Sync for RootHeap<BYTES> {}

impl<const BYTES: usize> RootHeap<BYTES> {
    /// An empty heap.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only the macro makes one, as a static")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }
}

/// Second half of [`crate::root_entry!`].
pub fn root<const BYTES: usize>(
    boot: u64,
    ipc_buffer: u64,
    heap: &'static RootHeap<BYTES>,
    main: fn(&'static BootInfo),
) -> ! {
    // SAFETY: The core has mapped the IPC buffer; the heap is a static that only this start uses.
    unsafe {
        ipc::set_buffer(ipc_buffer);
        heap::init(heap.0.get() as u64, BYTES as u64);
    }
    // SAFETY: The core has put the boot information there (`abi::boot`), and nobody changes it.
    let boot: &'static BootInfo = unsafe { &*(boot as *const BootInfo) };
    if boot.magic != MAGIC || boot.abi_version != abi::VERSION {
        panic::die();
    }
    time::set_tsc_khz(boot.tsc_khz);
    main(boot);
    panic::die()
}
