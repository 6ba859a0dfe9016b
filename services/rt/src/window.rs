// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows: memory that root mapped into the service besides heap and stack.
//!
//! Three kinds, by who else touches the bytes. Boot modules never change: they are slices. Guest
//! memory changes under the reader's hands: [`Shared`] copies out of it and never makes a
//! reference. Memory of the service's own that the core reads during a system call ([`Owned`]):
//! copied into through raw pointers, so that no store is delayed.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::CPtr;
use api::environment::{StoreFrame, Window};

use crate::cap::{Cap, Frame};
use crate::{layout, log, start};

/// Memory that others change at any time; can only be read, by copying.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    address: u64,
    size: u64,
}

impl Shared {
    fn new(window: Window) -> Self {
        Self { address: window.va, size: window.size }
    }

    /// Bytes.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// Copies from `offset` on; false, and nothing is copied, where that is not all inside.
    #[must_use]
    pub fn read(self, offset: u64, into: &mut [u8]) -> bool {
        let inside = offset.checked_add(into.len() as u64).is_some_and(|end| end <= self.size);
        if inside {
            // SAFETY: Inside a window that root has mapped for the service's life. The copy is one
            // instruction sequence that the compiler does not look into, so a racing writer costs
            // stale bytes and no more.
            unsafe { copy((self.address + offset) as *const u8, into.as_mut_ptr(), into.len()) };
        }
        inside
    }

    /// Whether the bytes from `offset` on are these, as far as nobody writes meanwhile; false where
    /// that is not all inside, or not a number of words. Nothing is copied, and the first words
    /// that differ end it.
    #[must_use]
    pub fn holds(self, offset: u64, bytes: &[u8]) -> bool {
        let (chunks, rest) = bytes.as_chunks::<128>();
        let Some(words) = self.words(offset, bytes.len()).filter(|_| rest.is_empty()) else { return false };
        chunks.iter().zip(0..).all(|(chunk, index)| {
            let mut differs = 0;
            for (at, word) in chunk.as_chunks::<8>().0.iter().enumerate() {
                // SAFETY: `words` begins as many words as `bytes` has, mapped for the service's
                // life, and `index * 16 + at` is below that. Volatile: others write there.
                differs |= unsafe { words.add(index * 16 + at).read_volatile() } ^ u64::from_ne_bytes(*word);
            }
            differs == 0
        })
    }

    /// Whether `size` bytes from `offset` on are zero, as far as nobody writes meanwhile; false
    /// where that is not all inside, or not a multiple of 512.
    #[must_use]
    pub fn is_zero(self, offset: u64, size: usize) -> bool {
        let Some(words) = self.words(offset, size).filter(|_| size.is_multiple_of(512)) else { return false };
        (0..size / 512).all(|index| {
            let mut any = 0;
            for at in 0..64 {
                // SAFETY: `words` begins `size` bytes that are mapped for the service's life, and
                // word `index * 64 + at` is one of them. Volatile: others write there.
                any |= unsafe { words.add(index * 64 + at).read_volatile() };
            }
            any == 0
        })
    }

    /// Where `size` bytes from `offset` on begin; `None` where they are not all inside, or not
    /// aligned to words.
    fn words(self, offset: u64, size: usize) -> Option<*const u64> {
        let end = offset.checked_add(size as u64)?;
        (end <= self.size && offset.is_multiple_of(8)).then_some((self.address + offset) as *const u64)
    }

    /// The little-endian word at `offset`.
    #[must_use]
    pub fn read_u64(self, offset: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.read(offset, &mut word).then(|| u64::from_le_bytes(word))
    }
}

/// For the console: the rings of others, with their names.
pub fn logs() -> impl Iterator<Item = (&'static str, &'static [AtomicU64])> {
    let logs = start::environment().map_or(&[][..], |environment| &environment.logs);
    logs.iter().map(|entry| (entry.name.as_str(), log::words(entry.ring)))
}

/// Memory of this service alone that is a frame too, so that the core can be told to read it.
#[derive(Debug)]
pub struct Owned {
    address: u64,
    size: u64,
    cap: CPtr,
}

impl Owned {
    /// The frame.
    #[must_use]
    pub fn cap(&self) -> Cap<Frame> {
        Cap::new(self.cap)
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    fn inside(&self, offset: u64, size: usize) -> bool {
        offset.checked_add(size as u64).is_some_and(|end| end <= self.size)
    }

    /// Copies to `offset`; false, and nothing is copied, where that is not all inside.
    #[must_use]
    pub fn write(&mut self, offset: u64, from: &[u8]) -> bool {
        let inside = self.inside(offset, from.len());
        if inside {
            // SAFETY: Inside a window that root has mapped writable for the service's life; `self`
            // is the only one.
            unsafe { copy(from.as_ptr(), (self.address + offset) as *mut u8, from.len()) };
        }
        inside
    }

    /// Copies `size` bytes from `offset` of a shared window to `to`; false where either is not all
    /// inside.
    #[must_use]
    pub fn copy_from(&mut self, to: u64, shared: Shared, offset: u64, size: usize) -> bool {
        let source = offset.checked_add(size as u64).is_some_and(|end| end <= shared.size);
        if !source || !self.inside(to, size) {
            return false;
        }
        // SAFETY: Both ends are inside windows that root has mapped; `Shared::read` and `write` say
        // the rest.
        unsafe { copy((shared.address + offset) as *const u8, (self.address + to) as *mut u8, size) };
        true
    }

    /// The bytes from `offset` on; empty where that is not all inside.
    #[must_use]
    pub fn bytes(&self, offset: u64, size: usize) -> &[u8] {
        if !self.inside(offset, size) {
            return &[];
        }
        // SAFETY: Inside the window, which nobody writes while `self` is borrowed: the core only
        // reads it.
        unsafe { core::slice::from_raw_parts((self.address + offset) as *const u8, size) }
    }
}

/// Copies bytes, unseen by the compiler.
///
/// # Safety
/// Both ranges must be mapped, the second one writable, and they must not overlap.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, size: usize) {
    // SAFETY: As the caller promises; the direction flag is clear by the calling convention.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov rcx, {rest}",
            "rep movsb",
            rest = in(reg) size % 8,
            inout("rcx") size / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

fn module(window: Window) -> &'static [u8] {
    if window.size == 0 {
        return &[];
    }
    // SAFETY: Root has mapped the module read-only for the service's life, and nobody writes
    // modules.
    unsafe { core::slice::from_raw_parts(window.va as *const u8, window.size as usize) }
}

/// The kernel image of a VMM's VM; empty if there is none.
#[must_use]
pub fn kernel() -> &'static [u8] {
    start::environment().and_then(|e| e.vm.as_ref()).map_or(&[], |vm| module(vm.kernel))
}

/// The initial file system of a VMM's VM; empty if there is none.
#[must_use]
pub fn initrd() -> &'static [u8] {
    start::environment().and_then(|e| e.vm.as_ref()).map_or(&[], |vm| module(vm.initrd))
}

/// Guest memory of a VMM's own VM.
#[must_use]
pub fn guest() -> Option<Shared> {
    start::environment()?.vm.as_ref().map(|vm| Shared::new(vm.guest))
}

/// Guest memory of the VM with this index, for the checkpoint service.
#[must_use]
pub fn guest_of(index: u32) -> Option<Shared> {
    let vm = start::environment()?.vms.iter().find(|vm| vm.index == index)?;
    (vm.guest.size != 0).then(|| Shared::new(vm.guest))
}

/// The bounce frame of a VMM; `None` at the second time.
#[must_use]
pub fn take_bounce() -> Option<Owned> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let environment = start::environment()?;
    let window = environment.vm.as_ref()?.bounce;
    let cap = environment.cap("bounce")?;
    let free = window.size != 0 && !TAKEN.swap(true, Ordering::Relaxed);
    free.then_some(Owned { address: window.va, size: window.size, cap })
}

/// The handover window of a VMM: the VMM of the same VM under another hypervisor has it too.
#[derive(Debug)]
pub struct Handover(());

impl Handover {
    fn inside(offset: u64, size: usize) -> bool {
        offset.checked_add(size as u64).is_some_and(|end| end <= api::handover::WINDOW_BYTES)
    }

    /// Copies from `offset` on; false, and nothing is copied, where that is not all inside.
    #[must_use]
    pub fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        let inside = Self::inside(offset, into.len());
        if inside {
            // SAFETY: Inside a window that root has mapped before anybody asks for a handover; as
            // in `Shared::read`, a racing writer costs stale bytes and no more.
            unsafe { copy((layout::HANDOVER + offset) as *const u8, into.as_mut_ptr(), into.len()) };
        }
        inside
    }

    /// Copies to `offset`; false, and nothing is copied, where that is not all inside.
    #[must_use]
    pub fn write(&mut self, offset: u64, from: &[u8]) -> bool {
        let inside = Self::inside(offset, from.len());
        if inside {
            // SAFETY: As in `read`; root has mapped it writable.
            unsafe { copy(from.as_ptr(), (layout::HANDOVER + offset) as *mut u8, from.len()) };
        }
        inside
    }
}

/// The handover window of a VMM; `None` at the second time. Root maps it for a succession, before
/// the first request to hand over or to take over: touching it earlier is a fault of this service.
#[must_use]
pub fn take_handover() -> Option<Handover> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    (!TAKEN.swap(true, Ordering::Relaxed)).then_some(Handover(()))
}

/// The first page frame of the bridge, word by word: for the succession service, once root has said
/// that it is mapped. (Before, and after it is taken away, looking at a word is a fault of this
/// service.)
#[must_use]
pub fn bridge() -> &'static [AtomicU64] {
    let words = api::handover::WINDOW_BYTES as usize / 8;
    // SAFETY: Root maps the frame there, readable and writable, before it says so; atomic words may
    // be shared with anyone.
    unsafe { core::slice::from_raw_parts(layout::BRIDGE as *const AtomicU64, words) }
}

/// The carve-out, to be filled by the succession service, once root has said that its `size` bytes
/// are mapped.
#[must_use]
pub fn carve_out(size: u64) -> Owned {
    Owned { address: layout::CARVE_OUT, size, cap: 0 }
}

/// The page store of the checkpoint service, frame by frame; empty at the second time.
#[must_use]
pub fn take_store() -> Vec<Owned> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let Some(environment) = start::environment() else { return Vec::new() };
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let own = |frame: &StoreFrame| Owned { address: frame.va, size: 1 << frame.size_bits, cap: frame.cap };
    environment.store.iter().map(own).collect()
}
