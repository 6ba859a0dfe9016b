// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU asks of another without a lock: wake this thread, take this call, end it, look at
//! this notification, give this object.
//!
//! Each CPU has a list that the others push to and that it takes whole. Items are objects, linked
//! through a word of their own, named by address and kind in one word. A thread in transit is off
//! every queue, so it is in one inbox at most; other items note that they are in one ([`Post`]).

use crate::hold::{Grip, Hold};
use crate::state::{self, CpuState};
use crate::{ipc, notify, thread, time, vcpu_run};
use abi::message::Info;
use core::sync::atomic::{AtomicU64, Ordering};
use queue::Post;
use store::{Endpoint, Notification, Ref, Reply, Thread, ThreadState, Vcpu, Wait};
use x86_machine::{lapic, vectors};

const KIND: u64 = 7;
const WAKE: u64 = 1;
const CALL: u64 = 2;
const NOTIFICATION: u64 = 3;
const CANCEL: u64 = 4;
const ENDPOINT: u64 = 5;
const REPLY: u64 = 6;
const VCPU: u64 = 7;

/// Most items that one interrupt deals with.
const ITEMS_AT_ONCE: usize = 64;

/// Make a blocked thread of another CPU ready there.
pub fn send_wake(thread: Ref<Thread>) {
    thread.state.set(ThreadState::Transit);
    let cpu = thread.cpu.get() as usize;
    thread.set_wait(None);
    send(cpu, thread.address() | WAKE, &thread.get().post.next);
}

/// Let another CPU take the call of a thread (its message and endpoint are in the thread).
pub fn send_call(thread: Ref<Thread>, cpu: usize) {
    thread.state.set(ThreadState::Transit);
    send(cpu, thread.address() | CALL, &thread.get().post.next);
}

/// Let the CPU where a thread's call waits see whether its time is over. It gets there after the
/// call, if that was sent there.
pub fn send_cancel(thread: Ref<Thread>, cpu: usize) {
    send_once(&thread.get().cancel, thread.address() | CANCEL, cpu);
}

/// Ask the home of an endpoint or a reply object for it.
pub fn send_request(object: Wait) {
    let home = object.home();
    let item = match object {
        Wait::Endpoint(endpoint) => endpoint.address() | ENDPOINT,
        Wait::Reply(reply) => reply.address() | REPLY,
    };
    send_once(&home.post, item, home.cpu() as usize - 1);
}

/// Ask a CPU to save the registers of a vCPU that it holds.
pub fn send_evict(vcpu: Ref<Vcpu>, cpu: usize) {
    send_once(&vcpu.get().post, vcpu.address() | VCPU, cpu);
}

/// Let another CPU see to the thread of a notification.
pub fn send_notification(notification: Ref<Notification>, cpu: usize) {
    send_once(&notification.get().post, notification.address() | NOTIFICATION, cpu);
}

fn send_once(post: &Post, item: u64, cpu: usize) {
    if post.claim(state::here()) {
        send(cpu, item, &post.next);
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
    let address = item & !KIND;
    let post = match item & KIND {
        WAKE | CALL => &Ref::<Thread>::from_address(address)?.get().post,
        CANCEL => &Ref::<Thread>::from_address(address)?.get().cancel,
        NOTIFICATION => &Ref::<Notification>::from_address(address)?.get().post,
        ENDPOINT => &Ref::<Endpoint>::from_address(address)?.get().home.post,
        REPLY => &Ref::<Reply>::from_address(address)?.get().home.post,
        VCPU => &Ref::<Vcpu>::from_address(address)?.get().post,
        _ => return None,
    };
    Some(&post.next)
}

/// Take what others have sent to a CPU, behind what it has not dealt with yet, in the order it was
/// sent.
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

/// Deal with what is in this CPU's inbox. Called between operations: it may wait for the lock. If
/// other CPUs send as fast as this one reads, interrupts have their turn in between.
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
            // Taking the lock may park this CPU, and whoever stopped it deals with the item then:
            // look again.
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
    // Every item is an object that lives: nothing dies while an inbox names it.
    let _ = handle_object(item & KIND, item & !KIND, hold);
}

fn handle_object(kind: u64, address: u64, hold: &Hold) -> Option<()> {
    match kind {
        WAKE => thread::make_ready(Ref::from_address(address)?),
        CALL => ipc::arrive(Ref::from_address(address)?, hold),
        CANCEL => {
            let thread = Ref::<Thread>::from_address(address)?;
            thread.cancel.release();
            time::cancel(thread, hold);
        }
        ENDPOINT => {
            let endpoint = Ref::<Endpoint>::from_address(address)?;
            ipc::give_endpoint(endpoint, endpoint.home.post.release(), hold);
        }
        REPLY => {
            let reply = Ref::<Reply>::from_address(address)?;
            ipc::give_reply(reply, reply.home.post.release(), hold);
        }
        VCPU => {
            let vcpu = Ref::<Vcpu>::from_address(address)?;
            vcpu.post.release();
            vcpu_run::evict(vcpu);
        }
        _ => {
            let notification = Ref::<Notification>::from_address(address)?;
            // Before its home is read: who raises it after that sends it anew. Its waiter may be on
            // another CPU by now.
            notification.post.release();
            notify::tell(notification, hold);
        }
    }
    Some(())
}
