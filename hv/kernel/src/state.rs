// SPDX-License-Identifier: MIT OR Apache-2.0
//! All state of the core that is not in an object: one record per CPU.
//!
//! A record's cells belong to its CPU; its atomics may be touched by all. Lock order: there is one
//! lock ([`crate::hold`]).

use abi::boot::MAX_CPUS;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use sched::{ReadyQueues, Timeouts};
use store::{PerCpu, Ref, Thread, Vcpu};
use x86_machine::leave::Leave;
use x86_machine::svm;

/// What one CPU knows.
pub struct CpuState {
    /// The thread whose registers the CPU resumes; none while idle.
    pub current: Cell<Option<Ref<Thread>>>,
    /// Threads that are ready besides it.
    pub ready: ReadyQueues<Ref<Thread>>,
    /// A thread that waits for a deadline and is not in the list below.
    pub deferred: Cell<Option<Ref<Thread>>>,
    /// Threads that wait for a deadline.
    pub timeouts: Timeouts<Ref<Thread>>,
    /// The current thread should give way at the next chance.
    pub reschedule: Cell<bool>,
    /// The timer may have to be set anew.
    pub timer_stale: Cell<bool>,
    /// What the timer is set to; `u64::MAX` for nothing.
    pub timer: Cell<u64>,
    /// When the time slice of the current thread ends.
    pub slice_end: Cell<u64>,
    /// Deadline of the vCPU that runs.
    pub vcpu_deadline: Cell<u64>,
    /// What the processor backend keeps for this CPU, if VMs can run.
    pub svm: Cell<Option<&'static svm::Cpu>>,
    /// The vCPU that a thread of this CPU runs, while interrupts are let in.
    pub claimed: Cell<Option<Ref<Vcpu>>>,
    /// The vCPU that ran last (address).
    pub last_vcpu: Cell<u64>,
    /// The core itself let an interrupt in: the handler must not switch threads.
    pub in_window: Cell<bool>,
    /// It waits for the capability lock.
    pub asking: Cell<bool>,
    /// Times that another CPU stopped or interrupted this one.
    pub disturbances: Cell<u64>,
    /// TSC ticks spent idle.
    pub idle: Cell<u64>,
    /// Items taken from the inbox and not dealt with yet (first in first out).
    pub pending: Cell<u64>,
    /// Items that other CPUs have sent (last in first out).
    pub inbox: AtomicU64,
    /// The stop that this CPU has last acknowledged.
    pub parked: AtomicU64,
    /// The visit ([`crate::hold::Hold::visit`]) that it has last acknowledged.
    pub visited: AtomicU64,
    /// Threads that are bound to it, whatever they do.
    pub threads: AtomicU32,
    /// Set, with the world held, for a CPU that leaves: it does so when the world goes on.
    pub leave: Cell<Option<Leave>>,
    /// [`crate::hold::WINDOW_EPOCH`] of the window's translations that it may hold.
    pub window_epoch: Cell<u64>,
    /// Whether it takes part.
    pub online: AtomicBool,
    /// Its APIC id.
    pub apic_id: AtomicU32,
}

impl CpuState {
    const fn new() -> Self {
        Self {
            current: Cell::new(None),
            ready: ReadyQueues::new(),
            deferred: Cell::new(None),
            timeouts: Timeouts::new(),
            reschedule: Cell::new(false),
            timer_stale: Cell::new(false),
            timer: Cell::new(u64::MAX),
            slice_end: Cell::new(0),
            vcpu_deadline: Cell::new(u64::MAX),
            svm: Cell::new(None),
            claimed: Cell::new(None),
            last_vcpu: Cell::new(0),
            in_window: Cell::new(false),
            asking: Cell::new(false),
            disturbances: Cell::new(0),
            idle: Cell::new(0),
            pending: Cell::new(0),
            inbox: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            visited: AtomicU64::new(0),
            threads: AtomicU32::new(0),
            leave: Cell::new(None),
            window_epoch: Cell::new(0),
            online: AtomicBool::new(false),
            apic_id: AtomicU32::new(0),
        }
    }
}

static CPUS: PerCpu<CpuState> = PerCpu::new([const { CpuState::new() }; MAX_CPUS]);

/// CPUs that have ever taken part: indices from 0 on. Those that left are not online.
pub static CPU_COUNT: AtomicUsize = AtomicUsize::new(1);
/// TSC ticks from the entry of the core to the start of the root service.
pub static BOOT_TICKS: AtomicU64 = AtomicU64::new(0);
/// Times that the other CPUs were stopped.
pub static STOPS: AtomicU64 = AtomicU64::new(0);

/// This CPU's record.
pub fn local() -> &'static CpuState {
    CPUS.local()
}

/// Any CPU's record.
pub fn of(cpu: usize) -> &'static CpuState {
    CPUS.of(cpu)
}

/// The CPUs that take part, in order.
pub fn online() -> impl Iterator<Item = usize> {
    (0..CPU_COUNT.load(Ordering::Acquire)).filter(|&index| of(index).online.load(Ordering::Acquire))
}

/// Whether a CPU takes part that an object names: index plus one.
pub fn takes_part(cpu: u32) -> bool {
    of(cpu as usize - 1).online.load(Ordering::Relaxed)
}

/// A thread is bound to a CPU from now on, or not any more. With the lock held.
pub fn count_thread(cpu: u32, comes: bool) {
    let threads = &of(cpu as usize).threads;
    if comes {
        threads.fetch_add(1, Ordering::Relaxed);
    } else {
        threads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// This CPU as objects name it: index plus one.
pub fn here() -> u32 {
    x86_machine::percpu::cpu_index() as u32 + 1
}
