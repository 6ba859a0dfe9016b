// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operation holds: nothing, the capability lock, or the lock with every other CPU stopped.
//!
//! Adding a capability or a mapping takes the lock. What destroys (deletes, unmaps, moves,
//! suspends) stops the others as well: they stand in [`park`], outside of any operation, until it
//! is over. So reading never needs a lock: a CPU that is inside an operation cannot be stopped in
//! the middle of it. What cuts a right of one guest only visits the CPUs that may use it. A CPU
//! that waits for the lock is between operations, and parks when asked. See
//! `docs/adr/0010-no-partition-stops-another.md`.

use crate::{inbox, state, vcpu_run};
use abi::error::Error;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use queue::TurnLock;
use x86_machine::window::WindowFlush;
use x86_machine::{clock, cpu, lapic, leave, percpu, space, svm, vectors};

static LOCK: TurnLock = TurnLock::new(AtomicU32::new(0), AtomicU64::new(0));
/// Number of the last visit.
static VISIT: AtomicU64 = AtomicU64::new(0);
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

    /// Take hold. The caller must not keep anything that it looked up before: while this waits,
    /// this CPU may be stopped and anything may die, the current thread included.
    pub fn take(grip: Grip) -> Self {
        if grip >= Grip::Lock {
            let (this, me) = (state::local(), percpu::cpu_index() as u32);
            LOCK.ask(me);
            this.asking.set(true);
            while !LOCK.has(me) {
                park();
                cpu::pause();
            }
            this.asking.set(false);
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

    /// Waits until each CPU of a set has been between two operations, and outside of any guest,
    /// since this was called.
    pub fn visit(&self, cpus: u64) {
        assert!(self.grip >= Grip::Lock, "one visit at a time");
        // Whoever is stopped is there.
        if self.is_world() {
            return;
        }
        let visit = VISIT.fetch_add(1, Ordering::SeqCst) + 1;
        let me = percpu::cpu_index();
        let others = || state::online().filter(|&index| index != me && cpus >> index & 1 == 1);
        for index in others() {
            lapic::send_ipi(state::of(index).apic_id.load(Ordering::Relaxed), vectors::IPI_RENDEZVOUS);
        }
        for index in others() {
            while state::of(index).visited.load(Ordering::Acquire) < visit {
                cpu::pause();
            }
        }
    }

    /// No CPU holds a translation of a user space: every CPU has left its tables to stop
    /// ([`leave_cpu`]) and loads them anew when it goes on. This is where a flush obligation of the
    /// page-table engine is spent.
    pub fn flush_everywhere(&self) {
        assert!(self.is_world(), "translations are cut with the world stopped");
        space::flush_all();
    }

    /// No CPU holds a translation of what has left the window: this one flushes, the others do
    /// before they go on ([`park`]).
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
            LOCK.pass(percpu::cpu_index() as u32);
        }
    }
}

/// Take what belongs to objects off this CPU: the registers of a vCPU, the tables of a space.
/// Either may die while the world is stopped.
fn leave_cpu() {
    vcpu_run::abandon(state::local());
    if let Some(svm) = state::local().svm.get() {
        svm::evict_any(svm);
    }
    space::activate(space::kernel_root());
}

/// Load the tables of the current thread again, if it still exists. Loading them flushes what was
/// cached of them.
fn return_to_cpu() {
    if let Some(current) = state::local().current.get() {
        space::activate(current.space_root.get());
    }
}

/// Let the others run for as long as they were stopped last time: whoever stops the world in a loop
/// takes half of it at most.
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
    // What is on its way between CPUs has to arrive: an object must not die while an inbox still
    // names it.
    for index in state::online() {
        inbox::drain_for(index);
    }
}

/// Acknowledges a visit; if another CPU has stopped the world, stands still until it is over.
/// Called between operations only.
pub fn park() {
    let epoch = EPOCH.load(Ordering::Acquire);
    let this = state::local();
    this.visited.store(VISIT.load(Ordering::Acquire), Ordering::Release);
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
        if this.asking.take() {
            LOCK.withdraw(percpu::cpu_index() as u32);
        }
        leave::leave(leave);
    }
    return_to_cpu();
}
