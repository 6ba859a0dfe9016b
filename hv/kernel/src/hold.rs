// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operation holds: nothing, the capability lock, or the lock with every other CPU stopped.
//!
//! Adding a capability or a mapping takes the lock. Whatever cuts (deletes, unmaps, moves, suspends) or touches cells of another CPU
//! stops the others as well: they stand in [`park`], outside of any operation, until it is over. So reading never needs a lock: a CPU
//! that is inside an operation cannot be stopped in the middle of it. A CPU that waits for the lock is between operations and parks
//! when asked. See `docs/adr/0001-one-capability-lock.md`.

use crate::{inbox, state};
use abi::error::Error;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use x86_machine::window::WindowFlush;
use x86_machine::{clock, cpu, lapic, leave, percpu, space, svm, vectors};

static LOCK: AtomicBool = AtomicBool::new(false);
/// Odd while the world is stopped.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// When the world was stopped last (while it is), and when it went on.
static STOPPED: AtomicU64 = AtomicU64::new(0);
static RESUMED: AtomicU64 = AtomicU64::new(0);
/// Times that memory has left the window.
pub static WINDOW_EPOCH: AtomicU64 = AtomicU64::new(0);
/// Longest time that the world is given to run before it may be stopped again.
const LONGEST_TURN_MICROSECONDS: u64 = 100;

/// How much has to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grip {
    /// Nothing.
    None,
    /// The capability lock.
    Lock,
    /// The lock, and the others stopped.
    World,
}

/// Why an operation ended early. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The caller made a mistake, or has to be told.
    Error(Error),
    /// Try again with this in hand.
    Need(Grip),
    /// A long operation pauses: execute the system call again later.
    Again,
}

impl From<Error> for Abort {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Outcome of an operation.
pub type Outcome = Result<(), Abort>;

/// What is held, until it is dropped.
pub struct Hold {
    grip: Grip,
}

impl Hold {
    /// Nothing.
    pub const NONE: Self = Self { grip: Grip::None };

    /// Take hold. The caller must not keep anything that it looked up before: while this waits, this CPU may be stopped and
    /// anything may die, the current thread included.
    pub fn take(grip: Grip) -> Self {
        if grip >= Grip::Lock {
            while LOCK.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
                park();
                cpu::pause();
            }
        }
        if grip == Grip::World {
            stop_others();
        }
        Self { grip }
    }

    /// What the holder of the world passes on to its own helpers; never dropped.
    pub const fn borrowed_world() -> Self {
        Self { grip: Grip::World }
    }

    /// That this much is held.
    ///
    /// # Errors
    /// [`Abort::Need`] if it is not.
    pub fn need(&self, grip: Grip) -> Outcome {
        if self.grip >= grip { Ok(()) } else { Err(Abort::Need(grip)) }
    }

    /// Whether the others are stopped.
    pub fn is_world(&self) -> bool {
        self.grip == Grip::World
    }

    /// No CPU holds a translation of a user space: every CPU has left its tables to stop ([`leave_cpu`]) and
    /// loads them anew when it goes on. This is where a flush obligation of the page-table engine is spent.
    pub fn flush_everywhere(&self) {
        assert!(self.is_world(), "translations are cut with the world stopped");
        space::flush_all();
    }

    /// No CPU holds a translation of what has left the window: this one flushes, the others do before they go on ([`park`]).
    pub fn flush_window_everywhere(&self, flush: WindowFlush) {
        assert!(self.is_world(), "the window shrinks with the world stopped");
        flush.spend(|| {
            WINDOW_EPOCH.fetch_add(1, Ordering::Release);
            flush_window();
        });
    }
}

/// Forget what has left the window, if anything has since the last time.
fn flush_window() {
    let epoch = WINDOW_EPOCH.load(Ordering::Acquire);
    if state::local().window_epoch.replace(epoch) != epoch {
        space::flush_global();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.grip == Grip::World && EPOCH.load(Ordering::Relaxed) & 1 == 1 {
            return_to_cpu();
            RESUMED.store(cpu::rdtsc(), Ordering::Relaxed);
            EPOCH.fetch_add(1, Ordering::Release);
        }
        if self.grip >= Grip::Lock {
            LOCK.store(false, Ordering::Release);
        }
    }
}

/// Take what belongs to objects off this CPU: the registers of a vCPU, the tables of a space. Either may die while the world is stopped.
fn leave_cpu() {
    // A vCPU that is claimed while interrupts are let in is given up: who let them in finds the claim gone and touches it no more.
    if let Some(vcpu) = state::local().claimed.take() {
        vcpu.running_on.store(0, Ordering::SeqCst);
    }
    if let Some(svm) = state::local().svm.get() {
        svm::evict_any(svm);
    }
    space::activate(space::kernel_root());
}

/// Load the tables of the current thread again, if it still exists. Loading them flushes what was cached of them.
fn return_to_cpu() {
    if let Some(current) = state::local().current.get() {
        space::activate(current.space_root.get());
    }
}

/// Let the others run for as long as they were stopped last time: whoever stops the world in a loop takes half of it at most.
fn give_turn() {
    let resumed = RESUMED.load(Ordering::Relaxed);
    let stopped_for = resumed.saturating_sub(STOPPED.load(Ordering::Relaxed));
    let turn = stopped_for.min(clock::tsc_khz() * LONGEST_TURN_MICROSECONDS / 1000);
    while cpu::rdtsc().wrapping_sub(resumed) < turn {
        cpu::pause();
    }
}

fn stop_others() {
    if state::online().count() > 1 {
        give_turn();
    }
    STOPPED.store(cpu::rdtsc(), Ordering::Relaxed);
    leave_cpu();
    let epoch = EPOCH.fetch_add(1, Ordering::AcqRel) + 1;
    state::STOPS.fetch_add(1, Ordering::Relaxed);
    let me = percpu::cpu_index();
    for index in state::online().filter(|&index| index != me) {
        lapic::send_ipi(state::of(index).apic_id.load(Ordering::Relaxed), vectors::IPI_RENDEZVOUS);
    }
    for index in state::online().filter(|&index| index != me) {
        while state::of(index).parked.load(Ordering::Acquire) != epoch {
            cpu::pause();
        }
    }
    // What is on its way between CPUs has to arrive: an object must not die while an inbox still names it.
    for index in state::online() {
        inbox::drain_for(index);
    }
}

/// If another CPU has stopped the world, stand still until it is over. Called between operations only.
pub fn park() {
    let epoch = EPOCH.load(Ordering::Acquire);
    let this = state::local();
    if epoch & 1 == 0 || this.parked.load(Ordering::Relaxed) == epoch {
        return;
    }
    leave_cpu();
    this.parked.store(epoch, Ordering::Release);
    while EPOCH.load(Ordering::Acquire) == epoch {
        cpu::pause();
    }
    flush_window();
    if let Some(leave) = this.leave.take() {
        leave::leave(leave);
    }
    return_to_cpu();
}
