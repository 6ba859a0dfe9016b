// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU asks of another without a lock: wake this thread, take this call, look at this notification.
//!
//! Each CPU has a list that the others push to and that it takes whole. Items are objects, linked through a word of their own, named by
//! address and kind in one word. A thread is in at most one inbox (it is off every queue while it is in transit), a notification is too
//! (it remembers that it is in one).

use crate::hold::{Grip, Hold};
use crate::state::{self, CpuState};
use crate::{ipc, notify, thread};
use abi::message::Info;
use core::sync::atomic::{AtomicU64, Ordering};
use store::{Notification, Ref, Thread, ThreadState};
use x86_machine::{lapic, vectors};

const KIND: u64 = 3;
const WAKE: u64 = 1;
const CALL: u64 = 2;
const NOTIFICATION: u64 = 3;

/// Most items that one interrupt deals with.
const ITEMS_AT_ONCE: usize = 64;

/// Make a blocked thread of another CPU ready there.
pub fn send_wake(thread: Ref<Thread>) {
    thread.state.set(ThreadState::Transit);
    send(thread.cpu.get() as usize, thread.address() | WAKE, &thread.get().inbox_next);
}

/// Let another CPU take the call of a thread (its message and endpoint are in the thread).
pub fn send_call(thread: Ref<Thread>, cpu: usize) {
    thread.state.set(ThreadState::Transit);
    send(cpu, thread.address() | CALL, &thread.get().inbox_next);
}

/// Let another CPU see to the thread of a notification.
pub fn send_notification(notification: Ref<Notification>, cpu: usize) {
    if !notification.in_inbox.swap(true, Ordering::SeqCst) {
        send(cpu, notification.address() | NOTIFICATION, &notification.get().inbox_next);
    }
}

fn send(cpu: usize, item: u64, link: &AtomicU64) {
    let target = state::of(cpu);
    let mut head = target.inbox.load(Ordering::Relaxed);
    loop {
        link.store(head, Ordering::Relaxed);
        match target.inbox.compare_exchange_weak(head, item, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => head = now,
        }
    }
    if head == 0 {
        lapic::send_ipi(target.apic_id.load(Ordering::Relaxed), vectors::IPI_WAKE);
    }
}

fn link_of(item: u64) -> Option<&'static AtomicU64> {
    match item & KIND {
        WAKE | CALL => Ref::<Thread>::from_address(item & !KIND).map(|thread| &thread.get().inbox_next),
        NOTIFICATION => Ref::<Notification>::from_address(item & !KIND).map(|n| &n.get().inbox_next),
        _ => None,
    }
}

/// Take what others have sent to a CPU, behind what it has not dealt with yet, in the order it was sent.
fn collect(cpu: &CpuState) {
    let mut item = cpu.inbox.swap(0, Ordering::AcqRel);
    if item == 0 {
        return;
    }
    let mut reversed = 0;
    while let Some(link) = link_of(item) {
        let next = link.swap(reversed, Ordering::Relaxed);
        reversed = item;
        item = next;
    }
    let mut last = cpu.pending.get();
    if last == 0 {
        cpu.pending.set(reversed);
        return;
    }
    while let Some(link) = link_of(last) {
        let next = link.load(Ordering::Relaxed);
        if next == 0 {
            link.store(reversed, Ordering::Relaxed);
            return;
        }
        last = next;
    }
}

fn take_first(cpu: &CpuState) -> Option<u64> {
    let item = cpu.pending.get();
    let link = link_of(item)?;
    cpu.pending.set(link.swap(0, Ordering::Relaxed));
    Some(item)
}

/// Whether the first item needs the lock: a call that carries capabilities.
fn needs_lock(item: u64) -> bool {
    item & KIND == CALL
        && Ref::<Thread>::from_address(item & !KIND)
            .is_some_and(|caller| caller.grant.get() && Info(caller.info.get()).caps() > 0)
}

/// Deal with what is in this CPU's inbox. Called between operations: it may wait for the lock. If other CPUs send as fast as this
/// one reads, interrupts have their turn in between.
pub fn drain() {
    let cpu = state::local();
    for _ in 0..ITEMS_AT_ONCE {
        if cpu.pending.get() == 0 {
            collect(cpu);
        }
        let first = cpu.pending.get();
        if first == 0 {
            return;
        }
        if needs_lock(first) {
            // Taking the lock may park this CPU, and whoever stopped it deals with the item then: look again.
            let hold = Hold::take(Grip::Lock);
            if cpu.pending.get() == first {
                take_first(cpu);
                handle(first, &hold);
            }
        } else if let Some(item) = take_first(cpu) {
            handle(item, &Hold::NONE);
        }
    }
    lapic::send_ipi(cpu.apic_id.load(Ordering::Relaxed), vectors::IPI_WAKE);
}

/// Deal with another CPU's inbox, which is stopped (or with this one's), holding the world.
pub fn drain_for(index: usize) {
    let cpu = state::of(index);
    // Already held by the caller, for whom this works: it is neither taken nor released here.
    let hold = core::mem::ManuallyDrop::new(Hold::borrowed_world());
    collect(cpu);
    while let Some(item) = take_first(cpu) {
        handle(item, &hold);
    }
}

fn handle(item: u64, hold: &Hold) {
    match item & KIND {
        WAKE => {
            if let Some(woken) = Ref::<Thread>::from_address(item & !KIND) {
                thread::make_ready(woken);
            }
        }
        CALL => {
            if let Some(caller) = Ref::<Thread>::from_address(item & !KIND) {
                ipc::arrive(caller, hold);
            }
        }
        _ => {
            if let Some(notification) = Ref::<Notification>::from_address(item & !KIND) {
                // Before its home is read: who raises it after that sends it anew. Its waiter may be on another CPU by now.
                notification.in_inbox.swap(false, Ordering::SeqCst);
                notify::tell(notification, hold);
            }
        }
    }
}
