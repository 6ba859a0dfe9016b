// SPDX-License-Identifier: MIT OR Apache-2.0
//! What SVM needs once per CPU, and once per machine.

use super::pages::Pages;
use super::probe;
use crate::boot::image;
use crate::{fpu, msr};
use abi::boot::MAX_CPUS;
use core::cell::{Cell, OnceCell, UnsafeCell};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use svm::policy::{IO_MAP_BYTES, MSR_MAP_BYTES, msr_map};
use vcpu::limits::Limits;

const EFER_SVME: u64 = 1 << 12;
const VM_HSAVE_PA: u32 = 0xc001_0117;

/// What SVM keeps per CPU. Only its CPU touches it, unless all others are stopped.
#[repr(C, align(4096))]
pub struct Cpu {
    /// Where VMRUN keeps the host's state; software never looks.
    save_area: UnsafeCell<[u8; 4096]>,
    /// Where VMSAVE keeps the rest of the host's state. It uses less than this of the page.
    host: UnsafeCell<[u8; 2048]>,
    /// Physical address of `host`.
    pub(super) host_phys: Cell<u64>,
    /// vCPU whose FPU and debug registers this CPU holds.
    pub(super) owner: Cell<Option<Pages>>,
    pub(super) index: Cell<u64>,
    exits: Cell<u64>,
    limits: OnceCell<Limits>,
}

// SAFETY: the kernel asks for the block of a CPU on that CPU, with interrupts off, and keeps it
// there; `forget_fpu`, which touches another's, is called while all other CPUs are stopped.
unsafe impl Sync for Cpu {}

static CPUS: [Cpu; MAX_CPUS] = [const {
    Cpu {
        save_area: UnsafeCell::new([0; 4096]),
        host: UnsafeCell::new([0; 2048]),
        host_phys: Cell::new(0),
        owner: Cell::new(None),
        index: Cell::new(0),
        exits: Cell::new(0),
        limits: OnceCell::new(),
    }
}; MAX_CPUS];

#[repr(C, align(4096))]
struct Map<const N: usize>([u8; N]);

static IO_MAP: Map<IO_MAP_BYTES> = Map([0xff; IO_MAP_BYTES]);
static MSR_MAP: Map<MSR_MAP_BYTES> = Map(msr_map());

/// Value of `tlb_control` for a flush. Written before any vCPU runs, the same by every CPU, so no
/// order matters.
pub static FLUSH: AtomicU32 = AtomicU32::new(super::vmcb::FLUSH_ALL);

impl Cpu {
    /// Exits on this CPU so far.
    #[must_use]
    pub fn exits(&self) -> u64 {
        self.exits.get()
    }

    pub(super) fn count_exit(&self) {
        self.exits.set(self.exits.get() + 1);
    }

    /// What a guest's registers may hold here.
    pub(super) fn limits(&self) -> &Limits {
        self.limits.get().expect("enabled before a vCPU runs")
    }
}

/// Turns SVM on. `index` is this CPU's; the answer is for this CPU only. To be called once per CPU,
/// where [`crate::cpu::virtualization`] said that VMs can run; CR4.OSXSAVE is set where there is
/// XSAVE.
#[must_use]
pub fn enable_this_cpu(index: usize) -> &'static Cpu {
    let cpu = &CPUS[index];
    cpu.limits.get_or_init(|| Limits::new(&probe::facts()));
    cpu.index.set(index as u64);
    cpu.host_phys.set(image::physical(cpu.host.get().addr() as u64));
    if probe::has_flush_by_asid() {
        FLUSH.store(super::vmcb::FLUSH_GUEST, Relaxed);
    }
    // SAFETY: SVM is there, by the caller; the bit only makes its instructions valid. The save area
    // is a page of the image that nothing else uses.
    unsafe {
        msr::write(msr::EFER, msr::read(msr::EFER) | EFER_SVME);
        msr::write(VM_HSAVE_PA, image::physical(cpu.save_area.get().addr() as u64));
    }
    cpu
}

/// Another CPU's block.
pub(super) fn other(index: usize) -> Option<&'static Cpu> {
    CPUS.get(index)
}

/// Physical addresses of the permission maps, for I/O and MSRs.
pub(super) fn maps() -> (u64, u64) {
    let place = |map: *const u8| image::physical(map.addr() as u64);
    (place(IO_MAP.0.as_ptr()), place(MSR_MAP.0.as_ptr()))
}

/// Runs `action` with the FPU's instructions allowed. User threads find them forbidden again.
pub(super) fn with_fpu<R>(action: impl FnOnce() -> R) -> R {
    fpu::enable();
    let result = action();
    fpu::disable();
    result
}
