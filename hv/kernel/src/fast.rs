// SPDX-License-Identifier: MIT OR Apache-2.0
//! The short way of a call and of its answer, within one CPU.
//!
//! It does what [`crate::ipc`] does, for the common case: up to four words and no capabilities, the
//! partner is waiting on this CPU and nobody more important is ready. Everything is looked at
//! before anything is changed; whatever is out of the ordinary is left to the long way, so that no
//! error and no rule is decided here.

use crate::state::{self, CpuState};
use crate::{thread as threads, time};
use abi::message::REGISTER_WORDS;
use abi::rights::Rights;
use abi::syscall::FOREVER;
use core::sync::atomic::Ordering;
use ipc::Waiting;
use store::{Endpoint, Object, QueueLinks, Ref, Reply, Thread, ThreadState, Wait, peek, slot_at};

/// What of the info word must be small: words, and no capabilities.
const SHAPE: u64 = 0x7fff;
/// What of the info word a message keeps.
const KEPT: u64 = !0 << 32 | SHAPE;

/// `Call` on an endpoint. False if the long way has to be taken; then nothing has changed.
pub fn call(cpu: &CpuState, thread: Ref<Thread>) -> bool {
    let from = &thread.get().context;
    let info = from.rsi.get();
    let Some((endpoint, badge)) = find::<Endpoint>(thread, from.rdi.get(), Rights::WRITE) else {
        return false;
    };
    let Waiting::Receivers(receiver) = local_waiting(endpoint) else { return false };
    let Some(reply) = receiver.reply.get() else { return false };
    let deadline = from.r13.get();
    if info & SHAPE > REGISTER_WORDS as u64 || outranked(cpu, receiver) || time::has_passed(deadline) {
        return false;
    }
    set_deadlines(cpu, receiver, thread, deadline);
    endpoint.meeting.leave(&QueueLinks, receiver);
    receiver.endpoint.set(None);
    receiver.reply.set(None);
    reply.receiver.set(None);
    reply.caller.set(Some(thread));
    thread.reply.set(Some(reply));
    thread.state.set(ThreadState::AwaitingReply);
    thread.set_wait(Some(Wait::Reply(reply)));
    pass(thread, receiver, info, badge);
    threads::enter(cpu, receiver);
    true
}

/// `ReplyReceive`, where somebody awaits the reply and nobody is calling. False as for [`call`].
pub fn reply_receive(cpu: &CpuState, thread: Ref<Thread>) -> bool {
    let from = &thread.get().context;
    let (info, deadline) = (from.rsi.get(), from.r13.get());
    let Some((endpoint, _)) = find::<Endpoint>(thread, from.rdi.get(), Rights::READ) else { return false };
    let Some((reply, _)) = find::<Reply>(thread, from.r12.get(), Rights::WRITE) else { return false };
    let here = state::here();
    if reply.home.cpu() != here {
        return false;
    }
    let Some(caller) = reply.caller.get() else { return false };
    if local_waiting(endpoint) != Waiting::Nobody
        || reply.receiver.get().is_some()
        || endpoint.home.cpu() != here
        || caller.cpu.get() + 1 != here
        || caller.faulted.get()
        || thread.bound.get().is_some_and(|bound| bound.word.load(Ordering::Relaxed) != 0)
        || info & SHAPE > REGISTER_WORDS as u64
        || outranked(cpu, caller)
        || time::has_passed(deadline)
    {
        return false;
    }
    set_deadlines(cpu, caller, thread, deadline);
    reply.caller.set(None);
    reply.receiver.set(Some(thread));
    caller.reply.set(None);
    caller.set_wait(None);
    thread.reply.set(Some(reply));
    thread.endpoint.set(Some(endpoint));
    thread.state.set(ThreadState::Receiving);
    endpoint.meeting.wait_as_receiver(&QueueLinks, thread);
    pass(thread, caller, info, 0);
    threads::enter(cpu, caller);
    true
}

/// One thread waits no more, another does from now on.
#[inline(always)]
fn set_deadlines(cpu: &CpuState, woken: Ref<Thread>, waits: Ref<Thread>, deadline: u64) {
    if woken.timed.get() {
        threads::forget_deadline(woken);
    }
    if deadline != FOREVER {
        time::defer(cpu, waits, deadline);
    }
}

/// The object of a type that a thread names, with a right, and the badge.
fn find<T: Object>(thread: Ref<Thread>, cptr: u64, right: Rights) -> Option<(Ref<T>, u64)> {
    if cptr >= thread.cnode_slots.get() {
        return None;
    }
    let cap = peek(slot_at(thread.cnode.get(), cptr));
    if cap.kind != T::TYPE as u8 || cap.rights & right.bits() == 0 {
        return None;
    }
    Some((Ref::from_address(cap.object)?, cap.badge))
}

/// Who waits at an endpoint; for one of another CPU, an answer that means the long way to both
/// callers.
fn local_waiting(endpoint: Ref<Endpoint>) -> Waiting<Ref<Thread>> {
    if endpoint.home.cpu() != state::here() {
        return Waiting::Nobody;
    }
    endpoint.meeting.waiting()
}

/// Somebody is ready whom a thread may not pass by, or has to take turns with (the long way sees to
/// the timer).
fn outranked(cpu: &CpuState, thread: Ref<Thread>) -> bool {
    cpu.ready.highest().is_some_and(|highest| highest >= thread.priority.get())
}

/// The registers of a message.
fn pass(from: Ref<Thread>, to: Ref<Thread>, info: u64, badge: u64) {
    let (source, target) = (&from.get().context, &to.get().context);
    target.rdx.set(source.rdx.get());
    target.r8.set(source.r8.get());
    target.r9.set(source.r9.get());
    target.r10.set(source.r10.get());
    target.rsi.set(info & KEPT);
    target.rdi.set(badge);
    target.rax.set(0);
}
