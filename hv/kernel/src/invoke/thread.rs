// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads: configure, registers, start, suspend, schedule, bind, move.

use super::Call;
use crate::finalise;
use crate::hold::{Abort, Grip, Outcome};
use crate::{lookup, notify, state, thread, time};
use abi::PAGE_SIZE;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use addr::VirtAddr;
use cap::{Cap, SlotRef};
use core::sync::atomic::Ordering;
use store::{Notification, Ref, Thread, ThreadSlot, ThreadState};
use x86_machine::context::FRAME_FULL;

/// RFLAGS of a fresh thread: interrupts on, and the bit that is always one.
const FRESH_RFLAGS: u64 = 0x202;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    let target = Ref::<Thread>::from_cap(call.cap).ok_or(Error::InvalidCapability)?;
    call.need(Rights::MANAGE)?;
    // The thread may be another CPU's.
    call.hold.need(Grip::World)?;
    match call.label {
        Invocation::ThreadConfigure => configure(call, target),
        Invocation::ThreadWriteRegisters => write_registers(call, target),
        Invocation::ThreadReadRegisters => read_registers(call, target),
        Invocation::ThreadStart => start(call, target),
        Invocation::ThreadSuspend => {
            // The caller may suspend itself: it has to have its answer before.
            call.answer(&[])?;
            thread::suspend(target);
            Ok(())
        }
        Invocation::ThreadSetSchedule => set_schedule(call, target),
        Invocation::ThreadBindNotification => bind(call, target),
        Invocation::ThreadSetCpu => set_cpu(call, target),
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn stopped(target: Ref<Thread>) -> Result<(), Error> {
    if target.state.get() == ThreadState::Inactive { Ok(()) } else { Err(Error::Busy) }
}

fn configure(call: &Call, target: Ref<Thread>) -> Outcome {
    stopped(target)?;
    let [cnode, space, buffer, handler] = call.words;
    let sources = [
        (ThreadSlot::CNode, Some(lookup::typed(call.thread, cnode, ObjectType::CNode, Rights::MANAGE)?)),
        (ThreadSlot::Space, Some(lookup::typed(call.thread, space, ObjectType::HostSpace, Rights::MANAGE)?)),
        (ThreadSlot::Buffer, Some(page_frame(call, buffer)?)),
        (
            ThreadSlot::Fault,
            match handler {
                0 => None,
                cptr => Some(lookup::typed(call.thread, cptr, ObjectType::Endpoint, Rights::WRITE)?),
            },
        ),
    ];
    for (index, _) in &sources {
        finalise::delete(target.slots.at(*index as usize), call.hold)?;
    }
    for (index, source) in sources {
        if let Some((source, _)) = source {
            let cap = finalise::embed(source, target.slots.at(index as usize), Rights::ALL)?;
            adopt(target, index, &cap);
        }
    }
    call.answer(&[])
}

/// The frame of an IPC buffer: one page that may be read and written.
fn page_frame(call: &Call, cptr: u64) -> Result<(SlotRef, Cap), Error> {
    let found = lookup::typed(call.thread, cptr, ObjectType::Frame, Rights::READ.or(Rights::WRITE))?;
    if 1u64 << found.1.size_bits == PAGE_SIZE { Ok(found) } else { Err(Error::InvalidArgument) }
}

/// Remember what a slot stands for.
fn adopt(target: Ref<Thread>, index: ThreadSlot, cap: &Cap) {
    match index {
        ThreadSlot::CNode => {
            target.cnode.set(cap.object);
            target.cnode_slots.set(lookup::slots_of(cap));
        }
        ThreadSlot::Space => target.space_root.set(cap.object + PAGE_SIZE),
        ThreadSlot::Buffer => target.buffer.set(cap.object),
        ThreadSlot::Fault | ThreadSlot::Notification => {}
    }
}

fn write_registers(call: &Call, target: Ref<Thread>) -> Outcome {
    stopped(target)?;
    let [rip, rsp, rdi, rsi] = call.words;
    let fs_base = call.buffer_word(4);
    // Would the processor take them?
    for address in [rip, rsp, fs_base] {
        VirtAddr::user(address).ok_or(Error::InvalidArgument)?;
    }
    let context = &target.get().context;
    context.rip.set(rip);
    context.rsp.set(rsp);
    context.rdi.set(rdi);
    context.rsi.set(rsi);
    context.fs_base.set(fs_base);
    context.rflags.set(FRESH_RFLAGS);
    context.frame_kind.set(FRAME_FULL);
    call.answer(&[])
}

fn read_registers(call: &Call, target: Ref<Thread>) -> Outcome {
    let context = &target.get().context;
    let state = match target.state.get() {
        ThreadState::Inactive => 0,
        ThreadState::Ready => 1,
        _ => 2,
    };
    call.answer(&[context.rip.get(), context.rsp.get(), context.rflags.get(), state])
}

fn start(call: &Call, target: Ref<Thread>) -> Outcome {
    // Does it have what it needs to run? (An IPC buffer it can do without.)
    if target.cnode.get() == 0 || target.space_root.get() == 0 || target.context.rflags.get() == 0 {
        return Err(Abort::Error(Error::NotConfigured));
    }
    call.answer(&[])?;
    if target.state.get() == ThreadState::Inactive {
        thread::make_ready(target);
    }
    Ok(())
}

fn set_schedule(call: &Call, target: Ref<Thread>) -> Outcome {
    let priority = u8::try_from(call.words[0]).map_err(|_| Error::InvalidArgument)?;
    let queued = target.state.get() == ThreadState::Ready
        && state::of(target.cpu.get() as usize).current.get() != Some(target);
    if queued {
        thread::detach(target);
    }
    target.priority.set(priority);
    target.slice.set(call.words[1]);
    if queued {
        thread::make_ready(target);
    } else {
        // If it is the one that runs, others may come first now, or take turns with it.
        let cpu = state::of(target.cpu.get() as usize);
        cpu.reschedule.set(true);
        cpu.timer_stale.set(true);
    }
    call.answer(&[])
}

fn bind(call: &Call, target: Ref<Thread>) -> Outcome {
    let slot = target.slots.at(ThreadSlot::Notification as usize);
    if call.words[0] == 0 {
        notify::end_bound_wait(target, call.hold);
        finalise::delete(slot, call.hold)?;
        return call.answer(&[]);
    }
    let wanted = Rights::READ;
    let (source, cap) = lookup::typed(call.thread, call.words[0], ObjectType::Notification, wanted)?;
    let notification = Ref::<Notification>::from_cap(&cap).ok_or(Error::InvalidCapability)?;
    // Does somebody wait for it, or is it bound?
    if notification.thread.get().is_some() {
        return Err(Abort::Error(Error::Busy));
    }
    notify::end_bound_wait(target, call.hold);
    finalise::delete(slot, call.hold)?;
    finalise::embed(source, slot, Rights::ALL)?;
    target.bound.set(Some(notification));
    notification.bound.set(true);
    notification.thread.set(Some(target));
    notification.home.store(target.cpu.get() + 1, Ordering::SeqCst);
    call.answer(&[])?;
    // What was signalled before counts.
    notify::tell(notification, call.hold);
    Ok(())
}

fn set_cpu(call: &Call, target: Ref<Thread>) -> Outcome {
    let (_, cpu) = lookup::typed(call.thread, call.words[0], ObjectType::Cpu, Rights::EXECUTE)?;
    let index = cpu.object as usize;
    if !state::of(index).online.load(Ordering::Relaxed) {
        return Err(Abort::Error(Error::InvalidArgument));
    }
    call.answer(&[])?;
    let was = target.state.get();
    if target.cpu.get() as usize == index {
        return Ok(());
    }
    // A thread that receives or waits does so anew, from the CPU that it moves to; the system call
    // is executed again.
    match was {
        ThreadState::Ready | ThreadState::Receiving | ThreadState::Waiting => {
            thread::detach(target);
            if was != ThreadState::Ready {
                thread::rewind(target);
            }
        }
        _ => {}
    }
    // One that calls goes on waiting as it does, and its deadline comes along.
    let deadline = target.until.load(Ordering::Relaxed);
    thread::forget_deadline(target);
    state::count_thread(target.cpu.get(), false);
    state::count_thread(index as u32, true);
    target.cpu.set(index as u32);
    time::set_deadline(target, deadline);
    if let Some(notification) = target.bound.get() {
        notification.home.store(index as u32 + 1, Ordering::SeqCst);
    }
    if matches!(was, ThreadState::Ready | ThreadState::Receiving | ThreadState::Waiting) {
        thread::make_ready(target);
    }
    Ok(())
}
