// SPDX-License-Identifier: MIT OR Apache-2.0
//! For a root service: reaching into frames and boot modules.
//!
//! A root service fills the frames of others before they start and reads what the boot loader left.
//! Both go through mappings in its own space that live at fixed addresses.

use abi::CPtr;
use abi::boot::{ModuleInfo, slot};
use abi::error::Error;
use abi::rights::Rights;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::cap::{Cap, Frame, GuestSpace, HostSpace, Vcpu};
use crate::vm::VirtualCpu;
use crate::{layout, window};

/// Where frames are filled.
const SCRATCH: u64 = 0x5000_0000_0000;
/// Where frames are filled and left for a while.
const FILL: u64 = 0x5100_0000_0000;
/// log2 of the bytes of the largest frame that is filled: it takes no large page, so that table
/// pages are used again.
pub const MAX_BITS: u8 = 20;
/// Distance between the windows of two modules; a module begins as far into its window as its
/// memory lies beyond a multiple of [`MODULE_ALIGN`], so that large pages fit.
pub const MODULE_STRIDE: u64 = 1 << 33;
/// See [`MODULE_STRIDE`].
pub const MODULE_ALIGN: u64 = 1 << 30;

/// Lets `work` write the bytes of a frame that is mapped nowhere.
///
/// # Errors
/// `OutOfRange` for a frame of more than `1 << MAX_BITS` bytes; otherwise as the core says.
pub fn with_frame<T>(frame: Cap<Frame>, work: impl FnOnce(&mut [u8]) -> T) -> Result<T, Error> {
    static BUSY: AtomicBool = AtomicBool::new(false);
    let (_, bits) = frame.describe()?;
    if bits > MAX_BITS {
        return Err(Error::OutOfRange);
    }
    if BUSY.swap(true, Ordering::Acquire) {
        return Err(Error::Busy);
    }
    let space: Cap<HostSpace> = Cap::new(slot::SPACE);
    let result = frame.map(space, SCRATCH, Rights::READ.or(Rights::WRITE)).map(|()| {
        // SAFETY: 1. Mapped just now, readable and writable, `1 << bits` bytes. 2. `BUSY` makes
        // this the one reference to the window. 3. It ends before the unmapping below: `T` cannot
        // hold it.
        let bytes = unsafe { core::slice::from_raw_parts_mut(SCRATCH as *mut u8, 1 << bits) };
        work(bytes)
    });
    let unmapped = if result.is_ok() { frame.unmap() } else { Ok(()) };
    BUSY.store(false, Ordering::Release);
    unmapped.and(result)
}

/// Copies bytes out of a frame that others may be writing, from `offset` on.
///
/// # Errors
/// As [`with_frame`]; `OutOfRange` where they do not all lie in the frame.
pub fn read_shared(frame: Cap<Frame>, offset: u64, into: &mut [u8]) -> Result<(), Error> {
    let (from, size) = (SCRATCH + offset, into.len());
    // SAFETY: inside of what is mapped there, by `with_shared`; the copy is unseen by the compiler,
    // so a racing writer costs stale bytes and no more.
    with_shared(frame, offset, size, || unsafe { window::copy(from as *const u8, into.as_mut_ptr(), size) })
}

/// Copies bytes into a frame that others may be reading, from `offset` on.
///
/// # Errors
/// As [`read_shared`].
pub fn write_shared(frame: Cap<Frame>, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let (to, size) = (SCRATCH + offset, bytes.len());
    // SAFETY: as in `read_shared`.
    with_shared(frame, offset, size, || unsafe { window::copy(bytes.as_ptr(), to as *mut u8, size) })
}

/// Maps a frame that others have mapped too, for as long as `work` runs, which touches `size` bytes
/// from `offset` on.
fn with_shared(frame: Cap<Frame>, offset: u64, size: usize, work: impl FnOnce()) -> Result<(), Error> {
    let (_, bits) = frame.describe()?;
    let inside = offset.checked_add(size as u64).is_some_and(|end| end <= 1 << bits);
    if bits > MAX_BITS || !inside {
        return Err(Error::OutOfRange);
    }
    frame.map(Cap::<HostSpace>::new(slot::SPACE), SCRATCH, Rights::READ.or(Rights::WRITE))?;
    work();
    frame.unmap()
}

/// First address after those that [`fill`] uses.
const FILL_END: u64 = FILL + (64 << 20);
/// Where [`fill`] maps next.
static FILL_NEXT: AtomicU64 = AtomicU64::new(FILL);

/// Lets `work` write the bytes of a frame, and leaves it mapped: undoing a mapping stops every CPU,
/// and is better done for many at a time, by deleting `copy`. After that, [`fill_again`].
///
/// # Errors
/// `OutOfRange` where the addresses are used up; otherwise as the core says.
pub fn fill<T>(copy: Cap<Frame>, work: impl FnOnce(&mut [u8]) -> T) -> Result<T, Error> {
    let (_, bits) = copy.describe()?;
    let address = FILL_NEXT.load(Ordering::Relaxed).next_multiple_of(1u64 << bits);
    if bits > MAX_BITS || address + (1 << bits) > FILL_END {
        return Err(Error::OutOfRange);
    }
    let space: Cap<HostSpace> = Cap::new(slot::SPACE);
    copy.map(space, address, Rights::READ.or(Rights::WRITE))?;
    FILL_NEXT.store(address + (1 << bits), Ordering::Relaxed);
    // SAFETY: 1. Mapped just now, readable and writable, `1 << bits` bytes; the core maps nothing
    // twice at one address, so this is the one reference to them. 2. It ends with `work`: `T`
    // cannot hold it.
    Ok(work(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, 1 << bits) }))
}

/// All that [`fill`] mapped is unmapped: its addresses can be used again.
pub fn fill_again() {
    FILL_NEXT.store(FILL, Ordering::Relaxed);
}

/// Configures a vCPU with `guest` and maps its page (number `number`, below 64) into the root
/// service's own space, for good.
///
/// # Errors
/// `AlreadyMapped` where the number was taken before; otherwise as the core says.
pub fn map_vcpu(cap: Cap<Vcpu>, guest: Cap<GuestSpace>, number: u32) -> Result<VirtualCpu, Error> {
    let address = layout::VCPU_PAGES + u64::from(number) * abi::PAGE_SIZE;
    cap.configure(guest)?;
    cap.map_page(Cap::new(slot::SPACE), address)?;
    // SAFETY: Mapped just now, where nothing else is; nothing here unmaps it.
    unsafe { VirtualCpu::at(cap, address, number) }.ok_or(Error::AlreadyMapped)
}

/// Where window number `window` puts a module: the address of its first byte.
#[must_use]
pub const fn module_address(module: &ModuleInfo, window: u64) -> u64 {
    address_of_module(module.base, window)
}

/// The same for a module at this physical address.
#[must_use]
pub const fn address_of_module(base: u64, window: u64) -> u64 {
    layout::MODULES + window * MODULE_STRIDE + base % MODULE_ALIGN
}

/// The frames of a module: slot, offset in the module, log2 of the bytes.
///
/// # Errors
/// As the core says.
pub fn module_frames(module: &ModuleInfo) -> Result<alloc::vec::Vec<(CPtr, u64, u8)>, Error> {
    let mut frames = alloc::vec::Vec::new();
    for index in 0..module.slots {
        let cptr = module.first_slot + index;
        let (base, bits) = Cap::<Frame>::new(cptr).describe()?;
        frames.push((cptr, base.checked_sub(module.base).ok_or(Error::OutOfRange)?, bits));
    }
    Ok(frames)
}

/// Maps a boot module into the root service's own space, in window number `window`, for good.
///
/// # Errors
/// As the core says.
pub fn map_module(module: &ModuleInfo, window: u64) -> Result<&'static [u8], Error> {
    let space: Cap<HostSpace> = Cap::new(slot::SPACE);
    let address = module_address(module, window);
    let mut covered = 0;
    for (cptr, offset, bits) in module_frames(module)? {
        if offset != covered {
            return Err(Error::OutOfRange);
        }
        Cap::<Frame>::new(cptr).map(space, address + offset, Rights::READ)?;
        covered += 1 << bits;
    }
    if covered < module.size {
        return Err(Error::OutOfRange);
    }
    // SAFETY: Mapped just now without a gap, at least `size` bytes, and never unmapped: the
    // capabilities stay in their slots. Nobody has the right to write to modules.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, module.size as usize) })
}

/// The name of a module.
#[must_use]
pub fn module_name(module: &ModuleInfo) -> &str {
    let size = module.name.iter().position(|&byte| byte == 0).unwrap_or(module.name.len());
    core::str::from_utf8(&module.name[..size]).unwrap_or("")
}
