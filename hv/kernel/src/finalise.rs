// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of capabilities and objects.
//!
//! Everything here holds the world. Deleting is a sequence of bounded steps ([`delete_step`]),
//! consistent after each: a caller that stops between two of them begins again later. An object
//! dies with its last capability; what a capability alone stands for (the mapping of a frame, a
//! binding to a thread) goes with each.

use crate::hold::Hold;
use crate::{lookup, state, thread};
use ::ipc::Waiting;
use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use addr::{GuestPhysAddr, PageSize, VirtAddr};
use cap::{Cap, Delete, Derive, SlotRef, Slots};
use core::sync::atomic::{AtomicU64, Ordering};
use paging::{GuestTable, HostTable, Unmap};
use store::{
    AnySpace, Container, Endpoint, GuestSpace, HostSpace, Notification, QueueLinks, Ref, Reply, SlotMemory,
    Tables, Thread, ThreadSlot, Vcpu, container, leave_space, peek, slot_at, space_of,
};
use x86_machine::ioapic;

/// Flag of a capability that an object holds, not a CNode.
pub const EMBEDDED: u8 = 1;

/// Slots of a thread.
const THREAD_SLOTS: usize = 5;
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

/// The first CNode that nobody can name any more but that is not empty yet (its address), or 0. Its
/// last capability has moved into its own slot 0, which no user can reach: there it still stands
/// for the memory in the tree. `badge` names the next such CNode, `aux` the slot up to which this
/// one is empty. So nesting, which is the user's to choose, needs no recursion.
static DOOMED: AtomicU64 = AtomicU64::new(0);

/// One step towards emptying a slot, and towards the end of what only it kept alive.
///
/// # Errors
/// [`Error::Busy`] for untyped memory with objects in it.
pub fn delete_step(slot: SlotRef, hold: &Hold) -> Result<Progress, Error> {
    if drain_doomed(hold) == Progress::More {
        return Ok(Progress::More);
    }
    if Delete::decode(&SlotMemory, slot)?.is_none() {
        return Ok(Progress::Done);
    }
    take_out(slot, hold);
    // Empty by now or not, and maybe a CNode with things in it is left over: the next step finds
    // out.
    Ok(Progress::More)
}

/// One step towards deleting everything derived from the capability in a slot.
///
/// # Errors
/// [`Error::Busy`] if what is left is memory that is away: it stays.
pub fn revoke_step(slot: SlotRef, hold: &Hold) -> Result<Progress, Error> {
    if drain_doomed(hold) == Progress::More {
        return Ok(Progress::More);
    }
    let Some(mut next) = cap::revoke_next(&SlotMemory, slot) else { return Ok(Progress::Done) };
    if store::is_away(next) {
        next = cap::children(&SlotMemory, slot).find(|&child| !store::is_away(child)).ok_or(Error::Busy)?;
    }
    take_out(next, hold);
    Ok(Progress::More)
}

/// A step towards emptying the CNodes that nobody can name.
fn drain_doomed(hold: &Hold) -> Progress {
    let cnode = DOOMED.load(Ordering::Relaxed);
    if cnode == 0 {
        return Progress::Done;
    }
    let own = slot_at(cnode, 0);
    let mut cap = peek(own);
    for _ in 0..STEP {
        if cap.aux >= lookup::slots_of(&cap) {
            DOOMED.store(cap.badge, Ordering::Relaxed);
            cap::unlink(&mut SlotMemory, own);
            return Progress::More;
        }
        let held = slot_at(cnode, cap.aux);
        if !peek(held).is_null() {
            SlotMemory.write_cap(own, cap);
            take_out(held, hold);
            return Progress::More;
        }
        cap.aux += 1;
    }
    SlotMemory.write_cap(own, cap);
    Progress::More
}

/// The last capability to a CNode leaves its slot; the CNode is emptied from now on.
fn doom(slot: SlotRef, cap: &Cap) {
    let own = slot_at(cap.object, 0);
    cap::move_slot(&mut SlotMemory, slot, own);
    let doomed = Cap { flags: 0, badge: DOOMED.load(Ordering::Relaxed), aux: 1, ..*cap };
    SlotMemory.write_cap(own, doomed);
    DOOMED.store(cap.object, Ordering::Relaxed);
}

/// A step towards emptying a slot: undo what its capability stands for, end its object if it is the
/// last one. What has been undone after a step that was not the last is undone for good; the object
/// is whole, if poorer, and the next step goes on from there.
fn take_out(slot: SlotRef, hold: &Hold) -> Progress {
    let cap = peek(slot);
    if cap.flags & EMBEDDED != 0 {
        release(slot);
    }
    if cap.kind() != ObjectType::Untyped && cap::is_last(&SlotMemory, slot) {
        if cap.kind() == ObjectType::CNode {
            doom(slot, &cap);
            return Progress::Done;
        }
        if let Some(thread) = Ref::<Thread>::from_cap(&cap) {
            thread::suspend(thread);
        }
        // At most three deep: a vCPU holds a guest space, which holds an endpoint.
        while let Some(held) = first_held(&cap) {
            if take_out(held, hold) == Progress::More {
                return Progress::More;
            }
        }
        if end(&cap, hold) == Progress::More {
            return Progress::More;
        }
    }
    if unmap(slot, hold) == Progress::More {
        return Progress::More;
    }
    cap::unlink(&mut SlotMemory, slot);
    Progress::Done
}

/// The first capability that an object other than a CNode holds.
fn first_held(cap: &Cap) -> Option<SlotRef> {
    let filled = |slot: &SlotRef| !peek(*slot).is_null();
    match cap.kind() {
        ObjectType::Thread => {
            let thread = Ref::<Thread>::from_cap(cap)?;
            (0..THREAD_SLOTS).map(|index| thread.slots.at(index)).find(filled)
        }
        ObjectType::GuestSpace => Some(Ref::<GuestSpace>::from_cap(cap)?.pager_slot.at(0)).filter(filled),
        ObjectType::Vcpu => Some(Ref::<Vcpu>::from_cap(cap)?.space_slot.at(0)).filter(filled),
        ObjectType::Interrupt => Some(store::line(cap.object as usize)?.slot.at(0)).filter(filled),
        _ => None,
    }
}

/// The end of an object that holds nothing any more.
fn end(cap: &Cap, hold: &Hold) -> Progress {
    match cap.kind() {
        ObjectType::Endpoint => {
            Ref::from_cap(cap).map_or(Progress::Done, |endpoint| end_endpoint(endpoint, hold))
        }
        ObjectType::Vcpu => {
            Ref::from_cap(cap).map_or(Progress::Done, |vcpu: Ref<Vcpu>| unmap(vcpu.page_slot.at(0), hold))
        }
        _ => {
            end_object(cap, hold);
            Progress::Done
        }
    }
}

fn end_object(cap: &Cap, hold: &Hold) {
    match cap.kind() {
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
        ObjectType::Thread => {
            if let Some(thread) = Ref::<Thread>::from_cap(cap) {
                state::count_thread(thread.cpu.get(), false);
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

/// Derives a capability into an empty slot of an object. With the lock held.
pub fn embed(source: SlotRef, slot: SlotRef, rights: Rights) -> Result<Cap, Error> {
    Derive::mint(&SlotMemory, source, slot, rights, 0)?.perform(&mut SlotMemory);
    let cap = Cap { flags: EMBEDDED, ..peek(slot) };
    SlotMemory.write_cap(slot, cap);
    Ok(cap)
}

/// Empties a slot of an object that is empty already, or whose capability is not the last one to
/// its object and stands for nothing more. False if the world has to be held for it; then nothing
/// has changed. With the lock held.
pub fn drop_copy(slot: SlotRef) -> bool {
    if peek(slot).is_null() {
        return true;
    }
    let copy = !cap::is_last(&SlotMemory, slot);
    if copy {
        release(slot);
        cap::unlink(&mut SlotMemory, slot);
    }
    copy
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
