// SPDX-License-Identifier: MIT OR Apache-2.0
//! Call, receive, reply.
//!
//! An endpoint lives on the CPU of its receivers (its home). A call from there meets the receiver at once and takes no lock; a call from another CPU
//! is sent to the home's inbox and taken there; the reply wakes the caller the same way. The first receive on a CPU
//! moves the endpoint there, with every CPU stopped.

use crate::hold::{Abort, Grip, Hold, Outcome};
use crate::lookup;
use crate::state;
use crate::{inbox, invoke, notify, thread, time};
use ::cap::Derive;
use ::ipc::Waiting;
use abi::error::Error;
use abi::message::{CAPS_WORD, Info, MAX_CAPS, RECEIVE_SLOTS_WORD, REGISTER_WORDS};
use abi::object::ObjectType;
use abi::rights::Rights;
use core::sync::atomic::Ordering;
use store::{Endpoint, QueueLinks, Ref, Reply, SlotMemory, Thread, ThreadState};

/// The system call `Call`.
pub fn call(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let (slot, cap) = lookup::cap(thread, thread.context.rdi.get())?;
    if cap.kind() != ObjectType::Endpoint {
        return invoke::invoke(thread, slot, &cap, hold);
    }
    // May it call?
    if !cap.rights().has(Rights::WRITE) {
        return Err(Abort::Error(Error::MissingRights));
    }
    let endpoint = Ref::from_cap(&cap).ok_or(Error::InvalidCapability)?;
    let info = Info::from_user(thread.context.rsi.get());
    let deadline = thread.context.r13.get();
    if time::has_passed(deadline) {
        return Err(Abort::Error(Error::TimedOut));
    }
    begin(thread, endpoint, info, (cap.badge, cap.rights().has(Rights::GRANT)), deadline, hold)
}

/// A thread (the current one) calls an endpoint, for itself or (with its fault words set) because it faulted.
pub fn begin(
    thread: Ref<Thread>,
    endpoint: Ref<Endpoint>,
    info: Info,
    (badge, grant): (u64, bool),
    deadline: u64,
    hold: &Hold,
) -> Outcome {
    let home = live_home(endpoint, hold)?;
    if home != state::here() {
        if home == 0 {
            hold.need(Grip::World)?;
        }
    } else if grant && info.caps() > 0 {
        hold.need(Grip::Lock)?;
    }
    thread.info.set(info.0);
    thread.badge.set(badge);
    thread.grant.set(grant);
    thread.endpoint.set(Some(endpoint));
    time::set_deadline(thread, deadline);
    let cpu = state::local();
    thread::block_current(cpu);
    if home == state::here() || home == 0 {
        if let Some(receiver) = meet(thread, endpoint, hold) {
            thread::hand_over(cpu, receiver);
        }
    } else {
        inbox::send_call(thread, home as usize - 1);
    }
    Ok(())
}

/// The CPU of an endpoint, plus one; 0 if it has none, or had one that has left (receivers come anew, elsewhere).
fn live_home(endpoint: Ref<Endpoint>, hold: &Hold) -> Result<u32, Abort> {
    let home = endpoint.home.load(Ordering::Relaxed);
    if home == 0 || state::of(home as usize - 1).online.load(Ordering::Relaxed) {
        return Ok(home);
    }
    hold.need(Grip::World)?;
    endpoint.home.store(0, Ordering::Relaxed);
    Ok(0)
}

/// A call arrives from another CPU. The lock is held if it carries capabilities.
pub fn arrive(caller: Ref<Thread>, hold: &Hold) {
    let Some(endpoint) = caller.endpoint.get() else { return };
    let home = endpoint.home.load(Ordering::Relaxed);
    if home != state::here() && !hold.is_world() && home != 0 {
        // The endpoint has moved on meanwhile.
        return inbox::send_call(caller, home as usize - 1);
    }
    if let Some(receiver) = meet(caller, endpoint, hold) {
        thread::make_ready(receiver);
    }
}

/// A caller that is on no queue meets the first receiver, which is returned and on no queue, or waits.
fn meet(caller: Ref<Thread>, endpoint: Ref<Endpoint>, hold: &Hold) -> Option<Ref<Thread>> {
    let Waiting::Receivers(receiver) = endpoint.meeting.waiting() else {
        caller.state.set(ThreadState::Calling);
        endpoint.meeting.wait_as_caller(&QueueLinks, caller);
        return None;
    };
    endpoint.meeting.leave(&QueueLinks, receiver);
    receiver.endpoint.set(None);
    thread::forget_deadline(receiver);
    let reply = receiver.reply.take();
    deliver(caller, receiver, reply, hold);
    Some(receiver)
}

/// Move the message of a caller to a receiver, and the caller into the reply object.
fn deliver(caller: Ref<Thread>, receiver: Ref<Thread>, reply: Option<Ref<Reply>>, hold: &Hold) {
    caller.endpoint.set(None);
    let info = Info(caller.info.get());
    let to = &receiver.get().context;
    if caller.faulted.get() {
        let words = &caller.get().fault_words;
        to.rdx.set(words[0].get());
        to.r8.set(words[1].get());
        to.r9.set(words[2].get());
        to.r10.set(words[3].get());
        to.rsi.set(info.0);
    } else {
        let caps = if caller.grant.get() { info.caps() } else { 0 };
        copy_message(caller, receiver, info, caps, hold);
    }
    to.rdi.set(caller.badge.get());
    to.rax.set(0);
    match reply {
        Some(reply) => {
            reply.receiver.set(None);
            reply.caller.set(Some(caller));
            reply.home.store(receiver.cpu.get() + 1, Ordering::Relaxed);
            caller.reply.set(Some(reply));
            caller.state.set(ThreadState::AwaitingReply);
        }
        None => thread::fail(caller, Error::ReplyLost, hold),
    }
}

/// Words 0 to 3 by register, the others from buffer to buffer, the capabilities by derivation.
fn copy_message(from: Ref<Thread>, to: Ref<Thread>, info: Info, caps: usize, hold: &Hold) {
    let (source, target) = (&from.get().context, &to.get().context);
    target.rdx.set(source.rdx.get());
    target.r8.set(source.r8.get());
    target.r9.set(source.r9.get());
    target.r10.set(source.r10.get());
    let mut words = info.words();
    if words > REGISTER_WORDS {
        if from.buffer.get() != 0 && to.buffer.get() != 0 {
            store::copy_words(from.buffer.get(), to.buffer.get(), REGISTER_WORDS, words - REGISTER_WORDS);
        } else {
            words = REGISTER_WORDS;
        }
    }
    let moved = if caps > 0 { copy_caps(from, to, caps, hold) } else { 0 };
    target.rsi.set(Info::new(info.label(), words).with_caps(moved).0);
}

/// Derive what the sender names into the slots that the receiver names, until one of them does not fit.
fn copy_caps(from: Ref<Thread>, to: Ref<Thread>, caps: usize, hold: &Hold) -> usize {
    if hold.need(Grip::Lock).is_err() || from.buffer.get() == 0 || to.buffer.get() == 0 {
        return 0;
    }
    for index in 0..caps.min(MAX_CAPS) {
        let source = store::read_word(from.buffer.get(), CAPS_WORD + index);
        let target = store::read_word(to.buffer.get(), RECEIVE_SLOTS_WORD + index);
        let (Ok(source), Ok(target)) = (lookup::slot(from, source), lookup::slot(to, target)) else {
            return index;
        };
        match Derive::mint(&SlotMemory, source, target, Rights::ALL, 0) {
            Ok(derive) => derive.perform(&mut SlotMemory),
            Err(_) => return index,
        }
    }
    caps.min(MAX_CAPS)
}

/// The system call `Reply`.
pub fn reply(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let reply = lookup::object(thread, thread.context.rdi.get(), Rights::WRITE)?;
    let woken = answer(thread, reply, hold)?;
    thread.context.rax.set(0);
    if let Some(caller) = woken {
        thread::make_ready(caller);
    }
    Ok(())
}

/// The system call `ReplyReceive`.
pub fn reply_receive(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let reply: Ref<Reply> = lookup::object(thread, thread.context.r12.get(), Rights::WRITE)?;
    let endpoint = lookup::object(thread, thread.context.rdi.get(), Rights::READ)?;
    // Does another thread receive with it?
    at_home(reply, hold)?;
    if reply.receiver.get().is_some() {
        return Err(Abort::Error(Error::Busy));
    }
    ready_to_receive(endpoint, hold)?;
    let woken = answer(thread, reply, hold)?;
    reply.home.store(state::here(), Ordering::Relaxed);
    let result = receive_on(thread, endpoint, Some(reply), hold);
    if let Some(caller) = woken {
        thread::hand_over(state::local(), caller);
    }
    result
}

/// The system call `Receive`.
pub fn receive(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let endpoint = lookup::object(thread, thread.context.rdi.get(), Rights::READ)?;
    let reply = match thread.context.r12.get() {
        0 => None,
        cptr => Some(lookup::object::<Reply>(thread, cptr, Rights::WRITE)?),
    };
    // Is the reply object free?
    if let Some(reply) = reply {
        at_home(reply, hold)?;
        if reply.caller.get().is_some() || reply.receiver.get().is_some() {
            return Err(Abort::Error(Error::Busy));
        }
    }
    ready_to_receive(endpoint, hold)?;
    if let Some(reply) = reply {
        reply.home.store(state::here(), Ordering::Relaxed);
    }
    receive_on(thread, endpoint, reply, hold)
}

/// The cells of a reply object may be touched: this CPU is its home, or every other one is stopped. (One that was never used is at
/// home nowhere: two CPUs could take it for free at once.)
fn at_home(reply: Ref<Reply>, hold: &Hold) -> Outcome {
    if reply.home.load(Ordering::Relaxed) == state::here() { Ok(()) } else { hold.need(Grip::World) }
}

/// Answer whoever a reply object holds. The caller is returned if it is to be made ready on this CPU.
fn answer(thread: Ref<Thread>, reply: Ref<Reply>, hold: &Hold) -> Result<Option<Ref<Thread>>, Abort> {
    // Nobody ever received with it?
    if reply.home.load(Ordering::Relaxed) == 0 {
        return Ok(None);
    }
    at_home(reply, hold)?;
    let Some(caller) = reply.caller.get() else { return Ok(None) };
    let info = Info::from_user(thread.context.rsi.get());
    if info.caps() > 0 {
        hold.need(Grip::Lock)?;
    }
    reply.caller.set(None);
    caller.reply.set(None);
    if caller.faulted.replace(false) {
        if info.label() != 0 {
            caller.state.set(ThreadState::Inactive);
            return Ok(None);
        }
    } else {
        copy_message(thread, caller, info, info.caps(), hold);
        caller.context.rdi.set(0);
        caller.context.rax.set(0);
    }
    if caller.cpu.get() + 1 == state::here() {
        return Ok(Some(caller));
    }
    thread::wake(caller, hold);
    Ok(None)
}

/// Decode of a receive: the endpoint is at home here, and what the first caller brings can be taken.
fn ready_to_receive(endpoint: Ref<Endpoint>, hold: &Hold) -> Outcome {
    if endpoint.home.load(Ordering::Relaxed) != state::here() {
        hold.need(Grip::World)?;
        // Do others receive on another CPU? They live where the endpoint lives.
        if let Waiting::Receivers(_) = endpoint.meeting.waiting() {
            return Err(Abort::Error(Error::Busy));
        }
        endpoint.home.store(state::here(), Ordering::Relaxed);
    }
    if let Waiting::Callers(caller) = endpoint.meeting.waiting()
        && caller.grant.get()
        && Info(caller.info.get()).caps() > 0
    {
        hold.need(Grip::Lock)?;
    }
    Ok(())
}

fn receive_on(
    thread: Ref<Thread>,
    endpoint: Ref<Endpoint>,
    reply: Option<Ref<Reply>>,
    hold: &Hold,
) -> Outcome {
    if notify::take_bound(thread) {
        return Ok(());
    }
    if let Waiting::Callers(caller) = endpoint.meeting.waiting() {
        endpoint.meeting.leave(&QueueLinks, caller);
        deliver(caller, thread, reply, hold);
        return Ok(());
    }
    let deadline = thread.context.r13.get();
    if time::has_passed(deadline) {
        return Err(Abort::Error(Error::TimedOut));
    }
    thread.state.set(ThreadState::Receiving);
    thread.endpoint.set(Some(endpoint));
    thread.reply.set(reply);
    if let Some(reply) = reply {
        reply.receiver.set(Some(thread));
    }
    endpoint.meeting.wait_as_receiver(&QueueLinks, thread);
    time::set_deadline(thread, deadline);
    thread::block_current(state::local());
    Ok(())
}
