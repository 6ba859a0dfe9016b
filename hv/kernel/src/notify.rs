// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications: signal from anywhere, wait on one CPU.

use crate::hold::{Abort, Grip, Hold, Outcome};
use crate::state;
use crate::{inbox, lookup, thread, time};
use abi::error::Error;
use abi::message::Info;
use abi::rights::Rights;
use core::sync::atomic::Ordering;
use store::{Notification, Ref, Thread, ThreadState};

/// The system call `Signal`.
pub fn signal(thread: Ref<Thread>) -> Outcome {
    let (_, cap) = lookup::typed(
        thread,
        thread.context.rdi.get(),
        abi::object::ObjectType::Notification,
        Rights::WRITE,
    )?;
    let notification = Ref::from_cap(&cap).ok_or(Error::InvalidCapability)?;
    raise(notification, cap.badge);
    thread.context.rax.set(0);
    Ok(())
}

/// OR flags (1 for none) into a notification and wake whoever waits. From any CPU.
pub fn raise(notification: Ref<Notification>, flags: u64) {
    // The waiter sets its home before it looks at the word (`wait`); both are sequentially
    // consistent, so one of the two sees the other.
    let before = notification.word.fetch_or(if flags == 0 { 1 } else { flags }, Ordering::SeqCst);
    // Whoever set the first flag tells the waiter; until that is taken there is nothing to add, and
    // no CPU to disturb.
    if before == 0 {
        tell(notification, &Hold::NONE);
    }
}

/// Let the CPU of a notification's thread look at it.
pub fn tell(notification: Ref<Notification>, hold: &Hold) {
    let home = notification.home.load(Ordering::SeqCst);
    if home == state::here() || hold.is_world() {
        look(notification);
    } else if home != 0 {
        inbox::send_notification(notification, home as usize - 1);
    }
}

/// If the thread of a notification is blocked in a way that flags end, end it. On its CPU, or with
/// the world held.
fn look(notification: Ref<Notification>) {
    let Some(waiter) = notification.thread.get() else { return };
    // One that calls has given its cells away; flags do not end its call.
    if waiter.wait().is_some() {
        return;
    }
    match waiter.state.get() {
        ThreadState::Waiting if notification.bound.get() && waiter.waits_for.get().is_none() => {}
        ThreadState::Waiting if waiter.waits_for.get() == Some(notification) => {}
        ThreadState::Receiving if notification.bound.get() => {}
        _ => return,
    }
    let flags = notification.word.swap(0, Ordering::SeqCst);
    if flags == 0 {
        return;
    }
    let info = if waiter.state.get() == ThreadState::Receiving { Info::notification() } else { Info(0) };
    thread::detach(waiter);
    answer(waiter, flags, info);
    thread::make_ready(waiter);
}

/// The binding of a thread is about to be undone: if it waits for that very notification, nobody
/// would wake it. With the world held.
pub fn end_bound_wait(thread: Ref<Thread>, hold: &Hold) {
    if thread.state.get() == ThreadState::Waiting && thread.waits_for.get().is_none() {
        thread::detach(thread);
        thread::fail(thread, Error::InvalidCapability, hold);
    }
}

fn answer(thread: Ref<Thread>, flags: u64, info: Info) {
    thread.context.rax.set(0);
    thread.context.rdi.set(flags);
    thread.context.rsi.set(info.0);
}

/// The flags of a thread's bound notification, if there are any: they end its receive at once.
pub fn take_bound(thread: Ref<Thread>) -> bool {
    let Some(notification) = thread.bound.get() else { return false };
    if notification.word.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let flags = notification.word.swap(0, Ordering::SeqCst);
    if flags != 0 {
        answer(thread, flags, Info::notification());
    }
    flags != 0
}

/// The system call `Wait`.
pub fn wait(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let notification: Ref<Notification> = lookup::object(thread, thread.context.rdi.get(), Rights::READ)?;
    let mine = thread.bound.get() == Some(notification);
    if !mine {
        // Is another thread there? Its cells may be another CPU's, so nobody moves while we look.
        if notification.home.load(Ordering::SeqCst) != 0 {
            return Err(Abort::Error(Error::Busy));
        }
        hold.need(Grip::Lock)?;
        notification.thread.set(Some(thread));
        notification.home.store(state::here(), Ordering::SeqCst);
    }
    let leave = || {
        if !mine {
            notification.thread.set(None);
            notification.home.store(0, Ordering::SeqCst);
        }
    };
    let flags = notification.word.swap(0, Ordering::SeqCst);
    if flags != 0 {
        leave();
        answer(thread, flags, Info(0));
        return Ok(());
    }
    let deadline = thread.context.r13.get();
    if time::has_passed(deadline) {
        leave();
        return Err(Abort::Error(Error::TimedOut));
    }
    thread.state.set(ThreadState::Waiting);
    // The bound one is not noted here: the binding may be undone while the thread waits, and the
    // notification die.
    thread.waits_for.set((!mine).then_some(notification));
    time::set_deadline(thread, deadline);
    thread::block_current(state::local());
    Ok(())
}
