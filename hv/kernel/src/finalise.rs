// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of capabilities and objects.
//!
//! Everything here holds the world. Deleting is a sequence of bounded steps ([`delete_step`]), consistent after each: a caller that
//! stops between two of them begins again later. An object dies with its last capability; what a capability alone
//! stands for (the mapping of a frame, a binding to a thread) goes with each.

use crate::hold::Hold;
use crate::{lookup, thread};
use ::ipc::Waiting;
use abi::error::Error;
use abi::object::ObjectType;
use addr::{GuestPhysAddr, PageSize, VirtAddr};
use cap::{Cap, Delete, SlotRef, Slots};
use core::sync::atomic::Ordering;
use paging::{GuestTable, HostTable, Unmap};
use store::{
    AnySpace, Container, Endpoint, GuestSpace, HostSpace, Notification, QueueLinks, Ref, Reply, SlotMemory,
    Tables, Thread, ThreadSlot, Vcpu, container, leave_space, peek, slot_at, space_of,
};
use x86_machine::ioapic;

/// Flag of a capability that an object holds, not a CNode.
pub const EMBEDDED: u8 = 1;
/// Flag of the last capability of an object that is being taken apart.
const DYING: u8 = 2;

/// Most slots looked at, waiters woken or table parts cleared in one step.
const STEP: usize = 512;
/// Most waiters failed in one step.
const WAITERS: usize = 32;
/// Most steps of the page-table engine in one step.
const TABLE_STEPS: usize = 8;

/// Whether a sequence of steps is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is.
    Done,
    /// It goes on.
    More,
}

/// One step towards emptying a slot.
///
/// # Errors
/// [`Error::Busy`] for untyped memory with objects in it.
pub fn delete_step(slot: SlotRef, hold: &Hold) -> Result<Progress, Error> {
    if Delete::decode(&SlotMemory, slot)?.is_none() {
        return Ok(Progress::Done);
    }
    let inner = match innermost(slot) {
        Some(inner) => inner,
        None => return Ok(Progress::More),
    };
    if finalise(inner, hold) == Progress::More {
        return Ok(Progress::More);
    }
    cap::unlink(&mut SlotMemory, inner);
    Ok(if inner == slot { Progress::Done } else { Progress::More })
}

/// One step towards deleting everything derived from the capability in a slot.
pub fn revoke_step(slot: SlotRef, hold: &Hold) -> Progress {
    let Some(next) = cap::revoke_next(&SlotMemory, slot) else { return Progress::Done };
    if peek(next).kind() == ObjectType::Untyped {
        // Its memory is part of the memory that is being taken back, and so is all that was made of it.
        cap::unlink(&mut SlotMemory, next);
    } else {
        // Only untyped memory can be busy.
        let _ = delete_step(next, hold);
    }
    Progress::More
}

/// Whether the capability in a slot is the last one of an object that holds other capabilities.
fn holds_others(slot: SlotRef, cap: &Cap) -> bool {
    let kind = cap.kind();
    let can = matches!(
        kind,
        ObjectType::CNode
            | ObjectType::Thread
            | ObjectType::GuestSpace
            | ObjectType::Vcpu
            | ObjectType::Interrupt
    );
    can && cap::is_last(&SlotMemory, slot)
}

/// The slot to finalise before this one: the capability may be the last to a CNode that holds the last one to another. No recursion:
/// nesting is the user's to choose. `None`: the search goes on in the next step.
fn innermost(outer: SlotRef) -> Option<SlotRef> {
    let mut slot = outer;
    loop {
        let mut cap = peek(slot);
        if !holds_others(slot, &cap) {
            return Some(slot);
        }
        // A thread that can still run must not, while it is taken apart.
        if let Some(thread) = Ref::<Thread>::from_cap(&cap) {
            thread::suspend(thread);
        }
        cap.flags |= DYING;
        SlotMemory.write_cap(slot, cap);
        match first_held(slot, cap) {
            Held::Slot(held) => slot = held,
            Held::None => return Some(slot),
            Held::Unknown => return None,
        }
    }
}

enum Held {
    Slot(SlotRef),
    None,
    Unknown,
}

/// The first capability that an object holds and that is not being taken apart itself.
fn first_held(slot: SlotRef, mut cap: Cap) -> Held {
    if cap.kind() != ObjectType::CNode {
        return embedded_slots(&cap).map_or(Held::None, Held::Slot);
    }
    // `aux` remembers how far the CNode is known to be empty.
    let end = lookup::slots_of(&cap);
    for _ in 0..STEP {
        if cap.aux >= end {
            return Held::None;
        }
        let held = slot_at(cap.object, cap.aux);
        let inner = peek(held);
        if !inner.is_null() && inner.flags & DYING == 0 {
            return Held::Slot(held);
        }
        cap.aux += 1;
    }
    SlotMemory.write_cap(slot, cap);
    Held::Unknown
}

/// The first filled slot of an object other than a CNode.
fn embedded_slots(cap: &Cap) -> Option<SlotRef> {
    let filled = |slot: &SlotRef| {
        let cap = peek(*slot);
        !cap.is_null() && cap.flags & DYING == 0
    };
    match cap.kind() {
        ObjectType::Thread => {
            let thread = Ref::<Thread>::from_cap(cap)?;
            (0..5).map(|index| thread.slots.at(index)).find(filled)
        }
        ObjectType::GuestSpace => Some(Ref::<GuestSpace>::from_cap(cap)?.pager_slot.at(0)).filter(filled),
        ObjectType::Vcpu => Some(Ref::<Vcpu>::from_cap(cap)?.space_slot.at(0)).filter(filled),
        ObjectType::Interrupt => Some(store::line(cap.object as usize)?.slot.at(0)).filter(filled),
        _ => None,
    }
}

/// Undo what a capability stands for, and end its object if it is the last one.
fn finalise(slot: SlotRef, hold: &Hold) -> Progress {
    let cap = peek(slot);
    if cap.flags & EMBEDDED != 0 {
        release(slot);
    }
    if cap.kind() == ObjectType::Frame {
        return unmap(slot, hold);
    }
    if !cap::is_last(&SlotMemory, slot) {
        return Progress::Done;
    }
    match cap.kind() {
        ObjectType::Endpoint => {
            Ref::from_cap(&cap).map_or(Progress::Done, |endpoint| end_endpoint(endpoint, hold))
        }
        ObjectType::Vcpu => {
            Ref::from_cap(&cap).map_or(Progress::Done, |vcpu: Ref<Vcpu>| unmap(vcpu.page_slot.at(0), hold))
        }
        _ => {
            end_object(&cap, hold);
            Progress::Done
        }
    }
}

fn end_object(cap: &Cap, hold: &Hold) {
    match cap.kind() {
        ObjectType::Thread => {
            if let Some(thread) = Ref::<Thread>::from_cap(cap) {
                thread::suspend(thread);
            }
        }
        ObjectType::Reply => {
            if let Some(reply) = Ref::<Reply>::from_cap(cap) {
                end_reply(reply, hold);
            }
        }
        ObjectType::Notification => {
            let thread =
                Ref::<Notification>::from_cap(cap).and_then(|notification| notification.thread.get());
            if let Some(thread) = thread {
                thread::detach(thread);
                thread::fail(thread, Error::InvalidCapability, hold);
            }
        }
        ObjectType::HostSpace => {
            if let Some(space) = Ref::<HostSpace>::from_cap(cap) {
                leave_space(space.id.get());
            }
        }
        ObjectType::GuestSpace => {
            if let Some(space) = Ref::<GuestSpace>::from_cap(cap) {
                leave_space(space.id.get());
            }
        }
        ObjectType::Interrupt => {
            if let Some(line) = store::line(cap.object as usize) {
                ioapic::mask(cap.object as u32);
                line.taken.store(false, Ordering::Relaxed);
            }
        }
        _ => {}
    }
}

fn end_reply(reply: Ref<Reply>, hold: &Hold) {
    if let Some(receiver) = reply.receiver.take() {
        receiver.reply.set(None);
    }
    if let Some(caller) = reply.caller.take() {
        caller.reply.set(None);
        thread::fail(caller, Error::ReplyLost, hold);
    }
}

fn end_endpoint(endpoint: Ref<Endpoint>, hold: &Hold) -> Progress {
    for _ in 0..WAITERS {
        let (Waiting::Callers(waiter) | Waiting::Receivers(waiter)) = endpoint.meeting.waiting() else {
            return Progress::Done;
        };
        endpoint.meeting.leave(&QueueLinks, waiter);
        waiter.endpoint.set(None);
        thread::forget_deadline(waiter);
        if let Some(reply) = waiter.reply.take() {
            reply.receiver.set(None);
        }
        thread::fail(waiter, Error::InvalidCapability, hold);
    }
    Progress::More
}

/// An object loses a capability that it holds.
fn release(slot: SlotRef) {
    match container(slot) {
        Some(Container::Thread(thread, index)) => release_from_thread(thread, index),
        Some(Container::GuestSpace(space)) => space.pager.set(None),
        Some(Container::Vcpu(vcpu)) => vcpu.space.set(None),
        Some(Container::Line(gsi)) => {
            if let Some(line) = store::line(gsi) {
                ioapic::mask(gsi as u32);
                line.notification.set(None);
            }
        }
        None => {}
    }
}

fn release_from_thread(thread: Ref<Thread>, index: usize) {
    if index == ThreadSlot::CNode as usize {
        thread::suspend(thread);
        thread.cnode.set(0);
        thread.cnode_slots.set(0);
    } else if index == ThreadSlot::Space as usize {
        thread::suspend(thread);
        thread.space_root.set(0);
    } else if index == ThreadSlot::Buffer as usize {
        thread.buffer.set(0);
    } else if index == ThreadSlot::Notification as usize {
        unbind(thread);
    }
}

/// Undo the binding of a thread and a notification, if there is one.
pub fn unbind(thread: Ref<Thread>) {
    if let Some(notification) = thread.bound.take() {
        notification.bound.set(false);
        notification.thread.set(None);
        notification.home.store(0, Ordering::SeqCst);
    }
}

/// Steps towards undoing the mapping that a frame capability remembers.
pub fn unmap(slot: SlotRef, hold: &Hold) -> Progress {
    let mut cap = peek(slot);
    if cap.kind() != ObjectType::Frame || cap.badge == 0 {
        return Progress::Done;
    }
    let done = match space_of(cap.badge) {
        Some(AnySpace::Host(space)) => {
            let tables = Tables::of_host(space);
            let address = VirtAddr::known(cap.aux);
            let unmap = HostTable::new(tables.root(), largest()).unmap(address, cap.size_bits);
            unmap_steps(unmap, tables, hold)
        }
        Some(AnySpace::Guest(space)) => {
            let tables = Tables::of_guest(space);
            let address = GuestPhysAddr::known(cap.aux);
            let table = GuestTable::new(tables.root(), largest(), space.epoch.get());
            space.generation.fetch_add(1, Ordering::Relaxed);
            unmap_steps(table.unmap(address, cap.size_bits), tables, hold)
        }
        // The space is gone, and its mappings with it.
        None => true,
    };
    if !done {
        return Progress::More;
    }
    cap.badge = 0;
    cap.aux = 0;
    SlotMemory.write_cap(slot, cap);
    Progress::Done
}

fn unmap_steps(mut unmap: Unmap, mut tables: Tables<'static>, hold: &Hold) -> bool {
    for _ in 0..TABLE_STEPS {
        let step = unmap.step(&mut tables);
        step.flush.spend(&mut tables, |_| hold.flush_everywhere());
        if !step.more {
            return true;
        }
    }
    false
}

/// The largest page that may be used.
pub fn largest() -> PageSize {
    if x86_machine::cpu::features().pages_1g { PageSize::Size1G } else { PageSize::Size2M }
}

/// Delete a slot as far as one system call goes.
///
/// # Errors
/// As [`delete_step`]; `Again` while there is more to do.
pub fn delete(slot: SlotRef, hold: &Hold) -> crate::hold::Outcome {
    for _ in 0..TABLE_STEPS {
        if delete_step(slot, hold)? == Progress::Done {
            return Ok(());
        }
    }
    Err(crate::hold::Abort::Again)
}
