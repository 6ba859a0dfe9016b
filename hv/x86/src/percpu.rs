// SPDX-License-Identifier: MIT OR Apache-2.0
//! One block of private state per CPU, found through GS while in the kernel, and one area of
//! stacks.
//!
//! GS base is the block whenever an interrupt, an exception or an NMI can arrive in the kernel; in
//! user mode it is 0 and the block waits in `KERNEL_GS_BASE`. The assembly in `trap::entry` knows
//! the offsets.

use crate::context::UserContext;
use crate::msr;
use crate::trap::tables::{self, Descriptors};
use abi::boot::MAX_CPUS;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the stacks of one CPU: from below an unmapped page, the kernel's stack, and those of
/// NMI, double fault and machine check.
pub(crate) const STACKS_BYTES: usize = 32 << 10;
/// Bytes of each stack for an exception that cannot trust the one it finds.
const FAULT_STACK: usize = 4 << 10;
/// Those stacks.
pub(crate) const FAULT_STACKS: usize = 3;

/// Private state of one CPU.
#[repr(C, align(64))]
pub(crate) struct Block {
    this: AtomicU64,
    pub(crate) current: AtomicU64,
    pub(crate) kernel_stack: AtomicU64,
    pub(crate) user_rsp: AtomicU64,
    index: AtomicU64,
    /// CR3 as loaded.
    pub(crate) root: AtomicU64,
    /// FS base as loaded: what a user thread can make of it without us is 0 only.
    pub(crate) fs_base: AtomicU64,
    spare: UserContext,
    descriptors: UnsafeCell<Descriptors>,
}

// SAFETY: what is not atomic belongs to the one CPU of the block.
unsafe impl Sync for Block {}

pub(crate) const CURRENT: usize = offset_of!(Block, current);
pub(crate) const KERNEL_STACK: usize = offset_of!(Block, kernel_stack);
pub(crate) const USER_RSP: usize = offset_of!(Block, user_rsp);

impl Block {
    const fn new() -> Self {
        Self {
            this: AtomicU64::new(0),
            current: AtomicU64::new(0),
            kernel_stack: AtomicU64::new(0),
            user_rsp: AtomicU64::new(0),
            index: AtomicU64::new(0),
            root: AtomicU64::new(0),
            fs_base: AtomicU64::new(0),
            spare: UserContext::new(),
            descriptors: UnsafeCell::new(Descriptors::new()),
        }
    }
}

static BLOCKS: [Block; MAX_CPUS] = [const { Block::new() }; MAX_CPUS];

#[repr(C, align(4096))]
struct Stacks(UnsafeCell<[u8; STACKS_BYTES]>);

// SAFETY: only the stack pointer of the CPU that it belongs to leads there.
unsafe impl Sync for Stacks {}

static STACKS: [Stacks; MAX_CPUS] = [const { Stacks(UnsafeCell::new([0; STACKS_BYTES])) }; MAX_CPUS];

/// Index of this CPU: 0 is the boot CPU, the others follow in the order of
/// [`crate::boot::BootFacts::cpus`].
#[must_use]
pub fn cpu_index() -> usize {
    let index: usize;
    // SAFETY: GS leads to our block, whose index never changes.
    unsafe {
        asm!("mov {}, gs:[{offset}]", out(reg) index, offset = const offset_of!(Block, index),
             options(pure, readonly, nostack, preserves_flags));
    }
    index
}

/// The block of this CPU.
pub(crate) fn this() -> &'static Block {
    let block: *const Block;
    // SAFETY: GS leads to our block, which begins with its own address.
    unsafe {
        asm!("mov {}, gs:[{offset}]", out(reg) block, offset = const offset_of!(Block, this),
             options(pure, readonly, nostack, preserves_flags));
        &*block
    }
}

/// End of the kernel stack of CPU `index`.
pub(crate) fn kernel_stack_end(index: usize) -> u64 {
    fault_stack_end(index, 0) - FAULT_STACK as u64
}

/// End of fault stack `number` of CPU `index`.
fn fault_stack_end(index: usize, number: usize) -> u64 {
    let end = STACKS[index].0.get() as u64 + STACKS_BYTES as u64;
    end - ((FAULT_STACKS - 1 - number) * FAULT_STACK) as u64
}

/// Whether the page at `address` of the image lies below a stack, to catch what runs over.
pub(crate) fn is_guard(address: u64) -> bool {
    let start = STACKS.as_ptr() as u64;
    let end = start + size_of_val(&STACKS) as u64;
    (start..end).contains(&address) && (address - start).is_multiple_of(STACKS_BYTES as u64)
}

/// Gives this CPU its block, its descriptor tables and its stacks. Before this, nothing that needs
/// [`this`] works.
pub(crate) fn init(index: usize) {
    let block = &BLOCKS[index];
    block.this.store(core::ptr::from_ref(block) as u64, Ordering::Relaxed);
    block.index.store(index as u64, Ordering::Relaxed);
    // A CPU that was here before has the tables of the entry now.
    block.root.store(0, Ordering::Relaxed);
    block.fs_base.store(0, Ordering::Relaxed);
    block.kernel_stack.store(kernel_stack_end(index), Ordering::Relaxed);
    block.current.store(core::ptr::from_ref(&block.spare) as u64, Ordering::Relaxed);
    let faults = core::array::from_fn(|number| fault_stack_end(index, number));
    // SAFETY: each CPU calls this once, before anything else uses the tables of its block.
    let descriptors = unsafe { &mut *block.descriptors.get() };
    descriptors.fill(kernel_stack_end(index), faults);
    tables::load(descriptors);
    // SAFETY: the block is filled in; user mode has GS base 0. (Loading the tables has reset both.)
    unsafe {
        msr::write(msr::GS_BASE, core::ptr::from_ref(block) as u64);
        msr::write(msr::KERNEL_GS_BASE, 0);
        msr::write(msr::FS_BASE, 0);
    }
}
