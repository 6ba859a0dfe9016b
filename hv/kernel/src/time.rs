// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deadlines, time slices and the one timer of a CPU.

use crate::hold::{Grip, Hold};
use crate::state::{self, CpuState};
use crate::thread;
use abi::error::Error;
use store::{Ref, Thread, ThreadState, TimeLinks};
use x86_machine::{clock, cpu, lapic};

/// Most threads that one timer interrupt wakes; the next one follows at once.
const WAKES_AT_ONCE: usize = 16;

/// Length of a time slice in TSC ticks where the thread has none of its own: 10 ms.
fn default_slice() -> u64 {
    clock::tsc_khz() * 10
}

/// Whether there is nothing to wait for any more.
pub fn has_passed(deadline: u64) -> bool {
    deadline != abi::syscall::FOREVER && deadline <= cpu::rdtsc()
}

/// A thread waits until `deadline` at most. It is of this CPU, or the world is held.
pub fn set_deadline(thread: Ref<Thread>, deadline: u64) {
    if deadline == abi::syscall::FOREVER {
        return;
    }
    let cpu = state::of(thread.cpu.get() as usize);
    thread.deadline.set(deadline);
    thread.timed.set(true);
    cpu.timeouts.insert(&TimeLinks, thread, |other| other.deadline.get());
    cpu.timer_stale.set(true);
}

/// A thread begins a new time slice.
pub fn begin_slice(cpu: &CpuState, thread: Ref<Thread>) {
    let slice = thread.slice.get();
    let slice = if slice == 0 { default_slice() } else { slice };
    cpu.slice_end.set(cpu::rdtsc().saturating_add(slice));
    if cpu.ready.any_at(thread.priority.get()) {
        cpu.timer_stale.set(true);
    }
}

/// Set the timer to what comes first.
pub fn arm(cpu: &CpuState) {
    cpu.timer_stale.set(false);
    let mut next = cpu.vcpu_deadline.get();
    if let Some(first) = cpu.timeouts.first() {
        next = next.min(first.deadline.get());
    }
    if let Some(current) = cpu.current.get()
        && cpu.ready.any_at(current.priority.get())
    {
        next = next.min(cpu.slice_end.get());
    }
    if next == cpu.timer.get() {
        return;
    }
    cpu.timer.set(next);
    if next == u64::MAX {
        lapic::timer_disarm();
    } else {
        lapic::timer_arm(next);
    }
}

/// Ends the wait of the first thread whose deadline has passed; false if there is none.
fn expire(cpu: &CpuState, now: u64) -> bool {
    let due = || cpu.timeouts.first().filter(|first| first.deadline.get() <= now);
    let Some(first) = due() else { return false };
    // A call waits at an endpoint or for an answer of another CPU, or is on its way there; what is received or waited for is of this one.
    let grip = match first.state.get() {
        ThreadState::Receiving | ThreadState::Waiting => Grip::None,
        _ => Grip::World,
    };
    let hold = Hold::take(grip);
    // To stop the others may have taken long enough for the answer to arrive.
    if due() == Some(first) {
        thread::detach(first);
        thread::fail(first, Error::TimedOut, &hold);
    }
    true
}

/// The timer has fired.
pub fn fired() {
    let cpu = state::local();
    cpu.timer.set(u64::MAX);
    cpu.timer_stale.set(true);
    let now = cpu::rdtsc();
    for _ in 0..WAKES_AT_ONCE {
        if !expire(cpu, now) {
            break;
        }
    }
    let Some(current) = cpu.current.get() else { return };
    if now >= cpu.slice_end.get() {
        begin_slice(cpu, current);
        if cpu.ready.any_at(current.priority.get()) {
            cpu.reschedule.set(true);
            // Also if the thread runs a guest: its system call is wound back, and it is executed again at its next turn.
            thread::rotate(cpu);
        }
    }
}
