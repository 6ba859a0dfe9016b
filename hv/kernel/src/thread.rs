// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a thread: ready, running, blocked, stopped; and the switch from one to another.
//!
//! Functions that touch another CPU's queues say so: their caller holds the world. What a thread
//! waits for is in the thread, so that it can be taken out of any wait from outside.

use crate::hold::Hold;
use crate::state::{self, CpuState};
use crate::{inbox, time};
use abi::error::Error;
use abi::fault::Fault;
use abi::message::Info;
use abi::syscall::FOREVER;
use core::sync::atomic::Ordering;
use store::{QueueLinks, Ref, Thread, ThreadState, TimeLinks};
use x86_machine::{context, cpu, space};

/// Bytes of the SYSCALL instruction: going back that far executes the system call again.
const SYSCALL_BYTES: u64 = 2;

/// A blocked thread becomes ready on its CPU, which is this one, or stopped.
pub fn make_ready(thread: Ref<Thread>) {
    forget_deadline(thread);
    thread.set_wait(None);
    thread.state.set(ThreadState::Ready);
    let cpu = state::of(thread.cpu.get() as usize);
    cpu.ready.push(&QueueLinks, thread, thread.priority.get());
    match cpu.current.get() {
        Some(current) if thread.priority.get() < current.priority.get() => {}
        Some(current) if thread.priority.get() == current.priority.get() => cpu.timer_stale.set(true),
        _ => cpu.reschedule.set(true),
    }
}

/// A blocked thread becomes ready, wherever its CPU is.
pub fn wake(thread: Ref<Thread>, hold: &Hold) {
    if thread.cpu.get() + 1 == state::here() || hold.is_world() {
        make_ready(thread);
    } else {
        inbox::send_wake(thread);
    }
}

/// The current thread of this CPU stops running; it has been, or will be, put somewhere else.
pub fn block_current(cpu: &CpuState) {
    cpu.current.set(None);
}

/// Let a thread run next that was just made runnable by the one that blocked, unless somebody more
/// important is ready. On this CPU.
pub fn hand_over(cpu: &CpuState, thread: Ref<Thread>) {
    forget_deadline(thread);
    thread.set_wait(None);
    if cpu.current.get().is_some() || cpu.ready.any_above(thread.priority.get()) {
        make_ready(thread);
    } else {
        enter(cpu, thread);
        // Its equals get their turn when the slice that it runs on is over.
        if cpu.ready.any_at(thread.priority.get()) {
            cpu.timer_stale.set(true);
        }
    }
}

/// Make a thread that is on no queue the one that this CPU resumes.
#[inline(always)]
pub fn enter(cpu: &CpuState, thread: Ref<Thread>) {
    thread.state.set(ThreadState::Ready);
    cpu.current.set(Some(thread));
    space::activate(thread.space_root.get());
    context::set_current(&thread.get().context);
}

/// End of every way into the core: choose who runs, see to the timer. Waits here while nobody is
/// ready.
pub fn finish() {
    let cpu = state::local();
    if cpu.reschedule.get() || cpu.current.get().is_none() {
        choose(cpu);
    }
    if cpu.timer_stale.get() {
        time::arm(cpu);
    }
}

fn choose(cpu: &CpuState) {
    cpu.reschedule.set(false);
    if let Some(current) = cpu.current.get() {
        if !cpu.ready.any_above(current.priority.get()) {
            return;
        }
        cpu.current.set(None);
        cpu.ready.push(&QueueLinks, current, current.priority.get());
    }
    loop {
        if let Some(next) = cpu.ready.pop(&QueueLinks) {
            cpu.reschedule.set(false);
            enter(cpu, next);
            time::begin_slice(cpu, next);
            return;
        }
        idle(cpu);
    }
}

fn idle(cpu: &CpuState) {
    inbox::drain();
    if cpu.ready.highest().is_some() {
        return;
    }
    time::arm(cpu);
    // The tables of a space that may die meanwhile must not stay loaded.
    space::activate(space::kernel_root());
    let begun = cpu::rdtsc();
    cpu.in_window.set(true);
    cpu::idle_wait();
    cpu.in_window.set(false);
    cpu.idle.set(cpu.idle.get().wrapping_add(cpu::rdtsc().wrapping_sub(begun)));
}

/// The current thread goes behind the others of its priority.
pub fn rotate(cpu: &CpuState) {
    if let Some(current) = cpu.current.get() {
        cpu.current.set(None);
        cpu.ready.push(&QueueLinks, current, current.priority.get());
    }
}

/// The system call that the thread is in will be executed again when the thread runs again.
pub fn rewind(thread: Ref<Thread>) {
    let rip = &thread.get().context.rip;
    rip.set(rip.get().wrapping_sub(SYSCALL_BYTES));
}

/// Undo [`rewind`]: the system call is complete.
pub fn advance(thread: Ref<Thread>) {
    let rip = &thread.get().context.rip;
    rip.set(rip.get().wrapping_add(SYSCALL_BYTES));
}

/// Forget the deadline that a thread waits for, on this CPU or with the world held.
pub fn forget_deadline(thread: Ref<Thread>) {
    if thread.timed.replace(false) {
        thread.until.store(FOREVER, Ordering::Relaxed);
        let cpu = state::of(thread.cpu.get() as usize);
        if cpu.deferred.get() == Some(thread) {
            cpu.deferred.set(None);
        } else {
            cpu.timeouts.remove(&TimeLinks, thread);
        }
    }
}

/// Take a thread out of whatever it does, so that it is on no queue. With the world held, or for a
/// thread of this CPU whose cells are here.
pub fn detach(thread: Ref<Thread>) {
    forget_deadline(thread);
    leave(thread);
    thread.set_wait(None);
}

/// Take a thread whose cells are this CPU's (or with the world held) off the queue or out of the
/// object that it is in.
pub fn leave(thread: Ref<Thread>) {
    match thread.state.get() {
        ThreadState::Inactive | ThreadState::Transit => {}
        ThreadState::Ready => {
            let cpu = state::of(thread.cpu.get() as usize);
            if cpu.current.get() == Some(thread) {
                cpu.current.set(None);
                cpu.reschedule.set(true);
            } else {
                cpu.ready.remove(&QueueLinks, thread, thread.priority.get());
            }
        }
        ThreadState::Calling => leave_meeting(thread),
        ThreadState::Receiving => {
            leave_meeting(thread);
            if let Some(reply) = thread.reply.take() {
                reply.receiver.set(None);
            }
        }
        ThreadState::AwaitingReply => {
            if let Some(reply) = thread.reply.take() {
                reply.caller.set(None);
            }
        }
        ThreadState::Waiting => {
            if let Some(notification) = thread.waits_for.take()
                && !notification.bound.get()
            {
                notification.thread.set(None);
                notification.home.store(0, Ordering::SeqCst);
            }
        }
    }
}

fn leave_meeting(thread: Ref<Thread>) {
    if let Some(endpoint) = thread.endpoint.take() {
        endpoint.meeting.leave(&QueueLinks, thread);
    }
}

/// Stop a thread. With the world held.
pub fn suspend(thread: Ref<Thread>) {
    let state = thread.state.get();
    detach(thread);
    if !thread.faulted.replace(false) {
        match state {
            ThreadState::Calling | ThreadState::Receiving | ThreadState::Waiting => rewind(thread),
            ThreadState::AwaitingReply => thread.context.rax.set(Error::ReplyLost.number()),
            ThreadState::Inactive | ThreadState::Ready | ThreadState::Transit => {}
        }
    }
    thread.state.set(ThreadState::Inactive);
}

/// A blocked thread learns that its system call has failed. It is on no queue any more.
pub fn fail(thread: Ref<Thread>, error: Error, hold: &Hold) {
    if !thread.faulted.replace(false) {
        thread.context.rax.set(error.number());
        wake(thread, hold);
    } else if Info(thread.info.get()).label() == Fault::SealedWrite as u32 {
        // It was not at fault: the system call that met the seal is executed again, and meets
        // whoever is the pager then.
        wake(thread, hold);
    } else {
        // Its fault was not answered: it cannot go on.
        thread.state.set(ThreadState::Inactive);
        thread.set_wait(None);
    }
}
