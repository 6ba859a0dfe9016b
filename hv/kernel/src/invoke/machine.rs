// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine, its CPUs, its interrupt lines.

use super::Call;
use crate::finalise::{self, EMBEDDED};
use crate::hold::{Abort, Grip, Outcome};
use crate::{interrupt, lookup, state};
use abi::boot::counter;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{Derive, Slots};
use core::sync::atomic::Ordering;
use store::{Ref, SlotMemory, peek};
use x86_machine::ioapic;

/// An invocation of the machine.
pub fn invoke_machine(call: &Call) -> Outcome {
    match call.label {
        Invocation::MachineInterrupt => make_line(call),
        Invocation::MachineCounter => {
            call.need(Rights::READ)?;
            let value = match call.words[0] {
                counter::BOOT_TICKS => state::BOOT_TICKS.load(Ordering::Relaxed),
                counter::RENDEZVOUS => state::STOPS.load(Ordering::Relaxed),
                counter::EXITS => state::local().svm.get().map_or(0, |svm| svm.exits()),
                _ => return Err(Abort::Error(Error::InvalidArgument)),
            };
            call.answer(&[value])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn make_line(call: &Call) -> Outcome {
    call.hold.need(Grip::World)?;
    let [gsi, mode, cnode, index] = call.words;
    let line = usize::try_from(gsi).ok().and_then(store::line).ok_or(Error::OutOfRange)?;
    if gsi >= u64::from(ioapic::gsi_count()) {
        return Err(Abort::Error(Error::OutOfRange));
    }
    if line.taken.load(Ordering::Relaxed) {
        return Err(Abort::Error(Error::Busy));
    }
    let to = lookup::destination(call.thread, cnode, index, 1)?;
    let derive = Derive::interrupt(&SlotMemory, call.slot, to, gsi)?;
    let (level, low) = (mode & 1 != 0, mode & 2 != 0);
    let boot_cpu = state::of(0).apic_id.load(Ordering::Relaxed);
    // Masked until it is bound.
    if !ioapic::route(gsi as u32, interrupt::vector_of(gsi as usize), boot_cpu, level, low) {
        return Err(Abort::Error(Error::OutOfRange));
    }
    ioapic::mask(gsi as u32);
    line.level.store(level, Ordering::Relaxed);
    line.taken.store(true, Ordering::Relaxed);
    derive.perform(&mut SlotMemory);
    call.answer(&[])
}

/// An invocation of an interrupt line.
pub fn invoke_interrupt(call: &Call) -> Outcome {
    let gsi = call.cap.object;
    let line = usize::try_from(gsi).ok().and_then(store::line).ok_or(Error::InvalidCapability)?;
    match call.label {
        Invocation::InterruptBind => {
            call.hold.need(Grip::World)?;
            call.need(Rights::MANAGE)?;
            let (source, _) =
                lookup::typed(call.thread, call.words[0], ObjectType::Notification, Rights::WRITE)?;
            let slot = line.slot.at(0);
            finalise::delete(slot, call.hold)?;
            Derive::mint(&SlotMemory, source, slot, Rights::WRITE, 0)?.perform(&mut SlotMemory);
            let mut cap = peek(slot);
            cap.flags |= EMBEDDED;
            SlotMemory.write_cap(slot, cap);
            line.badge.set(cap.badge);
            line.notification.set(Ref::from_cap(&cap));
            ioapic::unmask(gsi as u32);
            call.answer(&[])
        }
        Invocation::InterruptAck => {
            call.need(Rights::WRITE)?;
            if line.level.load(Ordering::Relaxed) && line.notification.get().is_some() {
                ioapic::unmask(gsi as u32);
            }
            call.answer(&[])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

/// An invocation of a CPU.
pub fn invoke_cpu(call: &Call) -> Outcome {
    match call.label {
        Invocation::CpuDescribe => {
            call.need(Rights::READ)?;
            let index = call.cap.object;
            let cpu = state::of(index as usize);
            let idle = if index + 1 == u64::from(state::here()) { cpu.idle.get() } else { 0 };
            let online = u64::from(cpu.online.load(Ordering::Relaxed));
            call.answer(&[index, u64::from(cpu.apic_id.load(Ordering::Relaxed)), online, idle])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}
