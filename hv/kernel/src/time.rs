// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deadlines, time slices and the one timer of a CPU.

use crate::hold::{Grip, Hold};
use crate::state::{self, CpuState};
use crate::{inbox, thread};
use abi::error::Error;
use core::sync::atomic::Ordering;
use store::{Ref, Thread, ThreadState, TimeLinks};
use x86_machine::{clock, cpu, lapic};

/// Most threads that one timer interrupt wakes; the next one follows at once.
const WAKES_AT_ONCE: usize = 16;

/// After which a call that waits on another CPU is looked at again, if that CPU has not ended it.
const RETRY_MICROSECONDS: u64 = 1000;

/// Length of a time slice in TSC ticks where the thread has none of its own: 10 ms.
fn default_slice() -> u64 {
    clock::tsc_khz() * 10
}

/// Whether there is nothing to wait for any more.
#[inline(always)]
pub fn has_passed(deadline: u64) -> bool {
    deadline != abi::syscall::FOREVER && deadline <= cpu::rdtsc()
}

/// A thread waits until `deadline` at most. It is of this CPU, or the world is held.
pub fn set_deadline(thread: Ref<Thread>, deadline: u64) {
    if deadline != abi::syscall::FOREVER {
        thread.until.store(deadline, Ordering::Relaxed);
        wake_at(thread, deadline);
    }
}

/// This CPU sees to the wait of a thread at a time.
fn wake_at(thread: Ref<Thread>, deadline: u64) {
    let cpu = state::of(thread.cpu.get() as usize);
    thread.deadline.set(deadline);
    thread.timed.set(true);
    cpu.timeouts.insert(&TimeLinks, thread, |other| other.deadline.get());
    cpu.timer_stale.set(true);
}

/// As [`set_deadline`], for a thread of this CPU whose wait will end soon, as a rule: the latest
/// one of these is kept out of the list until the timer fires.
pub fn defer(cpu: &CpuState, thread: Ref<Thread>, deadline: u64) {
    settle(cpu);
    thread.until.store(deadline, Ordering::Relaxed);
    thread.deadline.set(deadline);
    thread.timed.set(true);
    cpu.deferred.set(Some(thread));
    // The timer is left to fire early if the wait ends before.
    if deadline < cpu.timer.get() {
        cpu.timer.set(deadline);
        lapic::timer_arm(deadline);
    }
}

/// Enters the deferred deadline into the list, if there is one.
fn settle(cpu: &CpuState) {
    if let Some(thread) = cpu.deferred.take() {
        cpu.timeouts.insert(&TimeLinks, thread, |other| other.deadline.get());
    }
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
    for first in [cpu.timeouts.first(), cpu.deferred.get()].into_iter().flatten() {
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

/// Sees to the wait of the first thread whose deadline has passed; false if there is none.
fn expire(cpu: &CpuState, now: u64) -> bool {
    let due = || cpu.timeouts.first().filter(|first| first.deadline.get() <= now);
    let Some(first) = due() else { return false };
    let home = first.wait().map_or(state::here(), |wait| wait.home().cpu());
    if home == state::here() {
        end_wait(first, &Hold::NONE);
    } else if state::takes_part(home) {
        // What the thread waits in belongs to another CPU, which may be answering it at this
        // moment. That CPU is asked.
        put_off(first, now);
        inbox::send_cancel(first, home as usize - 1);
    } else {
        // A CPU that has left gives nothing away.
        let hold = Hold::take(Grip::World);
        if due() == Some(first) {
            end_wait(first, &hold);
        }
    }
    true
}

fn put_off(thread: Ref<Thread>, now: u64) {
    state::local().timeouts.remove(&TimeLinks, thread);
    wake_at(thread, now.saturating_add(clock::tsc_khz() * RETRY_MICROSECONDS / 1000));
}

/// The deadline of a thread of this CPU has passed; its cells are here, or on their way.
fn end_wait(thread: Ref<Thread>, hold: &Hold) {
    match (thread.state.get(), thread.wait()) {
        // Its call is still on its way here, or its answer.
        (ThreadState::Transit, Some(_)) => put_off(thread, cpu::rdtsc()),
        (ThreadState::Transit, None) => thread::forget_deadline(thread),
        _ => {
            thread::detach(thread);
            thread::fail(thread, Error::TimedOut, hold);
        }
    }
}

/// Another CPU says that the deadline of a thread's call has passed. If that waits here still, it
/// ends.
pub fn cancel(thread: Ref<Thread>, hold: &Hold) {
    // The call may be another one by now: its own deadline counts.
    let Some(wait) = thread.wait().filter(|_| has_passed(thread.until.load(Ordering::Relaxed))) else {
        return;
    };
    let home = wait.home().cpu();
    if home != state::here() && !hold.is_world() {
        if state::takes_part(home) {
            inbox::send_cancel(thread, home as usize - 1);
        }
        return;
    }
    if matches!(thread.state.get(), ThreadState::Calling | ThreadState::AwaitingReply) {
        thread::leave(thread);
        thread::fail(thread, Error::TimedOut, hold);
    }
}

/// The timer has fired.
pub fn fired() {
    let cpu = state::local();
    cpu.timer.set(u64::MAX);
    cpu.timer_stale.set(true);
    settle(cpu);
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
            // Also if the thread runs a guest: its system call is wound back, and it is executed
            // again at its next turn.
            thread::rotate(cpu);
        }
    }
}
