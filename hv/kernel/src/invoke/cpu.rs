// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs: describe, leave to another image, take in.

use super::Call;
use crate::hold::{Abort, Grip, Outcome};
use crate::{boot, lookup, state};
use abi::PAGE_SIZE;
use abi::boot::MAX_CPUS;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::Cap;
use core::sync::atomic::Ordering;
use store::{SlotMemory, peek};
use x86_machine::leave::Leave;
use x86_machine::{park, percpu, smp};

/// An invocation of a CPU.
pub fn invoke(call: &Call) -> Outcome {
    match call.label {
        Invocation::CpuDescribe => {
            call.need(Rights::READ)?;
            let index = call.cap.object;
            let cpu = state::of(index as usize);
            let idle = if index + 1 == u64::from(state::here()) { cpu.idle.get() } else { 0 };
            let online = u64::from(cpu.online.load(Ordering::Relaxed));
            call.answer(&[index, u64::from(cpu.apic_id.load(Ordering::Relaxed)), online, idle])
        }
        Invocation::CpuRelease => release(call),
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

/// An APIC id that a user names.
pub fn apic_id(word: u64) -> Result<u32, Error> {
    u32::try_from(word).map_err(|_| Error::InvalidArgument)
}

fn release(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::World)?;
    let index = call.cap.object as usize;
    let cpu = state::of(index);
    if !cpu.online.load(Ordering::Relaxed) {
        return Err(Abort::Error(Error::InvalidArgument));
    }
    let leave = decode_leave(call)?;
    if index == percpu::cpu_index() {
        // Is it the last one? With others left, the thread that calls would have to be somewhere
        // else first.
        if state::online().count() > 1 {
            return Err(Abort::Error(Error::Busy));
        }
        cpu.online.store(false, Ordering::Release);
        x86_machine::leave::leave(leave)
    }
    if cpu.threads.load(Ordering::Relaxed) != 0 {
        return Err(Abort::Error(Error::Busy));
    }
    cpu.online.store(false, Ordering::Release);
    cpu.leave.set(Some(leave));
    call.answer(&[])
}

fn decode_leave(call: &Call) -> Result<Leave, Error> {
    let [entry, information, frame, offset] = call.words;
    let low = |address: u64| u32::try_from(address).map_err(|_| Error::InvalidArgument);
    let mut leave = Leave { entry: low(entry)?, information: low(information)?, last_word: (0, 0) };
    if frame != 0 {
        let (_, frame) = lookup::typed(call.thread, frame, ObjectType::Frame, Rights::WRITE)?;
        if offset % 8 != 0 || offset >= PAGE_SIZE {
            return Err(Error::OutOfRange);
        }
        leave.last_word = (frame.object + offset, call.buffer_word(4));
    }
    Ok(leave)
}

/// `MachineAdoptCpu`.
pub fn adopt(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::Lock)?;
    let [id, cnode, slot, _] = call.words;
    let id = apic_id(id)?;
    let to = lookup::destination(call.thread, cnode, slot, 1)?;
    if !peek(to).is_null() {
        return Err(Abort::Error(Error::SlotOccupied));
    }
    let index = index_of(id)?;
    if !smp::can_start() {
        return Err(Abort::Error(Error::Unsupported));
    }
    if !smp::start_one(boot::other_cpu, index, id) {
        return Err(Abort::Error(Error::TimedOut));
    }
    while !state::of(index).online.load(Ordering::Acquire) {
        x86_machine::cpu::pause();
    }
    state::CPU_COUNT.fetch_max(index + 1, Ordering::AcqRel);
    let cap = Cap::new(ObjectType::Cpu, Rights::ALL, 0, index as u64);
    cap::insert_root(&mut SlotMemory, to, cap);
    call.answer(&[index as u64])
}

/// The index for a CPU that comes: the one that it had, or the next.
fn index_of(id: u32) -> Result<usize, Error> {
    let count = state::CPU_COUNT.load(Ordering::Relaxed);
    let had = (0..count).find(|&index| state::of(index).apic_id.load(Ordering::Relaxed) == id);
    match had {
        Some(index) if state::of(index).online.load(Ordering::Relaxed) => Err(Error::Busy),
        Some(index) => Ok(index),
        None if count < MAX_CPUS => Ok(count),
        None => Err(Error::OutOfRange),
    }
}

/// `MachineInit`.
pub fn init(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::Lock)?;
    let id = apic_id(call.words[0])?;
    if state::online().any(|index| state::of(index).apic_id.load(Ordering::Relaxed) == id) {
        return Err(Abort::Error(Error::Busy));
    }
    if !park::still(id) {
        return Err(Abort::Error(Error::TimedOut));
    }
    call.answer(&[])
}
