// SPDX-License-Identifier: MIT OR Apache-2.0
//! Call, receive, reply.
//!
//! An endpoint lives on the CPU of its receivers (its home). A call from there meets the receiver
//! at once and takes no lock; a call from another CPU is sent to the home's inbox and taken there;
//! the reply wakes the caller the same way. A receive on another CPU asks the home for the
//! endpoint, and is executed again until it has it. Nobody else is interrupted. A reply object
//! moves the same way.

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
use store::{Endpoint, QueueLinks, Ref, Reply, SlotMemory, Thread, ThreadState, Wait};

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

/// A thread (the current one) calls an endpoint, for itself or (with its fault words set) because
/// it faulted.
pub fn begin(
    thread: Ref<Thread>,
    endpoint: Ref<Endpoint>,
    info: Info,
    (badge, grant): (u64, bool),
    deadline: u64,
    hold: &Hold,
) -> Outcome {
    let home = live_home(Wait::Endpoint(endpoint), hold)?;
    if home == state::here() && grant && info.caps() > 0 {
        hold.need(Grip::Lock)?;
    }
    thread.info.set(info.0);
    thread.badge.set(badge);
    thread.grant.set(grant);
    thread.endpoint.set(Some(endpoint));
    thread.set_wait(Some(Wait::Endpoint(endpoint)));
    time::set_deadline(thread, deadline);
    let cpu = state::local();
    thread::block_current(cpu);
    if home == state::here() {
        if let Some(receiver) = meet(thread, endpoint, hold) {
            thread::hand_over(cpu, receiver);
        }
    } else {
        inbox::send_call(thread, home as usize - 1);
    }
    Ok(())
}

/// The CPU of an object, plus one: this one if it had none, or one that has left (who waits in it
/// waits on).
fn live_home(object: Wait, hold: &Hold) -> Result<u32, Abort> {
    let home = object.home().take_free(state::here());
    if state::takes_part(home) {
        return Ok(home);
    }
    // Only root lets CPUs leave, and the first use afterwards brings the object here.
    hold.need(Grip::World)?;
    object.home().give(state::here());
    Ok(state::here())
}

/// The cells of an object may be touched, since this CPU is its home.
///
/// # Errors
/// `Again` after its home was asked for it, `Busy` if the home has refused.
fn bring_home(object: Wait, hold: &Hold) -> Outcome {
    if live_home(object, hold)? == state::here() {
        return Ok(());
    }
    if object.home().was_refused(state::here()) {
        return Err(Abort::Error(Error::Busy));
    }
    inbox::send_request(object);
    Err(Abort::Again)
}

/// Another CPU asks for an endpoint: it gets it with those who call, unless threads of this one
/// receive on it.
pub fn give_endpoint(endpoint: Ref<Endpoint>, asker: u32, hold: &Hold) {
    if endpoint.home.cpu() != state::here() && !hold.is_world() {
        return;
    }
    match endpoint.meeting.waiting() {
        Waiting::Receivers(_) => endpoint.home.refuse(asker),
        _ => endpoint.home.give(asker),
    }
}

/// Another CPU asks for a reply object: it gets it with the caller in it, unless a thread of this
/// one receives with it.
pub fn give_reply(reply: Ref<Reply>, asker: u32, hold: &Hold) {
    if reply.home.cpu() != state::here() && !hold.is_world() {
        return;
    }
    match reply.receiver.get() {
        Some(_) => reply.home.refuse(asker),
        None => reply.home.give(asker),
    }
}

/// A call arrives from another CPU. The lock is held if it carries capabilities.
pub fn arrive(caller: Ref<Thread>, hold: &Hold) {
    let Some(endpoint) = caller.endpoint.get() else { return };
    let home = endpoint.home.cpu();
    if home != state::here() && !hold.is_world() {
        // The endpoint has moved on meanwhile.
        return inbox::send_call(caller, home as usize - 1);
    }
    if let Some(receiver) = meet(caller, endpoint, hold) {
        thread::make_ready(receiver);
    }
}

/// A caller that is on no queue meets the first receiver, which is returned and on no queue, or
/// waits.
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
            caller.reply.set(Some(reply));
            caller.state.set(ThreadState::AwaitingReply);
            caller.set_wait(Some(Wait::Reply(reply)));
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

/// Derive what the sender names into the slots that the receiver names, until one of them does not
/// fit.
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
    bring_home(Wait::Reply(reply), hold)?;
    if reply.receiver.get().is_some() {
        return Err(Abort::Error(Error::Busy));
    }
    ready_to_receive(endpoint, hold)?;
    let woken = answer(thread, reply, hold)?;
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
        bring_home(Wait::Reply(reply), hold)?;
        if reply.caller.get().is_some() || reply.receiver.get().is_some() {
            return Err(Abort::Error(Error::Busy));
        }
    }
    ready_to_receive(endpoint, hold)?;
    receive_on(thread, endpoint, reply, hold)
}

/// Answer whoever a reply object holds. The caller is returned if it is to be made ready on this
/// CPU.
fn answer(thread: Ref<Thread>, reply: Ref<Reply>, hold: &Hold) -> Result<Option<Ref<Thread>>, Abort> {
    bring_home(Wait::Reply(reply), hold)?;
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
            caller.set_wait(None);
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

/// Decode of a receive: the endpoint is at home here, and what the first caller brings can be
/// taken.
fn ready_to_receive(endpoint: Ref<Endpoint>, hold: &Hold) -> Outcome {
    bring_home(Wait::Endpoint(endpoint), hold)?;
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
