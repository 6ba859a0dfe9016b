// SPDX-License-Identifier: MIT OR Apache-2.0
//! What SVM needs once per CPU, and once per machine.

use super::pages::Pages;
use super::probe;
use crate::{boot, window};
use abi::boot::MAX_CPUS;
use core::arch::asm;
use core::cell::{Cell, OnceCell, UnsafeCell};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use vcpu::limits::Limits;
use vcpu::policy::{IO_MAP_BYTES, MSR_MAP_BYTES, msr_map};

const EFER: u32 = 0xc000_0080;
const EFER_SVME: u64 = 1 << 12;
const VM_HSAVE_PA: u32 = 0xc001_0117;
const CR4_OSXSAVE: u64 = 1 << 18;

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

// SAFETY: the kernel asks for the block of a CPU on that CPU, with interrupts off, and keeps it there; `forget_fpu`, which
// touches another's, is called while all other CPUs are stopped.
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

/// Value of `tlb_control` for a flush. Written before any vCPU runs, the same by every CPU, so no order matters.
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

/// Turns SVM on. `index` is this CPU's; the answer is for this CPU only. To be called once per CPU, where
/// [`super::probe`] said that VMs can run.
#[must_use]
pub fn enable_this_cpu(index: usize) -> &'static Cpu {
    let cpu = &CPUS[index];
    let limits = cpu.limits.get_or_init(|| Limits::new(&probe::facts()));
    cpu.index.set(index as u64);
    cpu.host_phys.set(image_phys(cpu.host.get().addr()));
    if probe::has_flush_by_asid() {
        FLUSH.store(super::vmcb::FLUSH_GUEST, Relaxed);
    }
    wrmsr(EFER, rdmsr(EFER) | EFER_SVME);
    wrmsr(VM_HSAVE_PA, image_phys(cpu.save_area.get().addr()));
    if limits.xcr0 != 0 {
        enable_xsave();
    }
    cpu
}

/// Another CPU's block.
pub(super) fn other(index: usize) -> Option<&'static Cpu> {
    CPUS.get(index)
}

/// Physical addresses of the permission maps, for I/O and MSRs.
pub(super) fn maps() -> (u64, u64) {
    (image_phys(core::ptr::from_ref(&IO_MAP).addr()), image_phys(core::ptr::from_ref(&MSR_MAP).addr()))
}

/// Where in physical memory a static of the image lies.
fn image_phys(address: usize) -> u64 {
    boot::facts().image.base + (address as u64 - window::IMAGE_BASE)
}

pub(super) fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: callers name registers that exist on the processor they have probed; reading has no effect on memory.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

pub(super) fn wrmsr(msr: u32, value: u64) {
    // SAFETY: callers write EFER with one more bit, the save-area address (a page that nothing else uses), and `TSC_AUX`;
    // none of them changes what the core's own instructions mean.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

/// XGETBV and XSETBV work in the core, and so XSAVE.
fn enable_xsave() {
    // SAFETY: the bit exists where CPUID says XSAVE (checked by the caller, whose limits follow from it); it only makes
    // instructions valid.
    unsafe {
        asm!(
            "mov {0}, cr4",
            "or {0}, {1}",
            "mov cr4, {0}",
            out(reg) _,
            in(reg) CR4_OSXSAVE,
            options(nomem, nostack)
        );
    }
}

/// Runs `action` with the FPU's instructions allowed. User threads find them forbidden again.
pub(super) fn with_fpu<R>(action: impl FnOnce() -> R) -> R {
    // SAFETY: clears CR0.TS and nothing else.
    unsafe { asm!("clts", options(nostack)) };
    let result = action();
    // SAFETY: sets CR0.TS and nothing else. The core itself is compiled without FPU instructions.
    unsafe {
        asm!("mov {0}, cr0", "or {0}, 8", "mov cr0, {0}", out(reg) _, options(nostack));
    }
    result
}
