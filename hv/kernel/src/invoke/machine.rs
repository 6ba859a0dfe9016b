// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine and its interrupt lines.

use super::{Call, cpu, estate};
use crate::finalise;
use crate::hold::{Abort, Grip, Outcome};
use crate::{interrupt, lookup, state};
use abi::boot::{DOORBELL, counter};
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::Derive;
use core::sync::atomic::Ordering;
use store::{Ref, SlotMemory};
use x86_machine::{ioapic, lapic};

/// An invocation of the machine.
pub fn invoke_machine(call: &Call) -> Outcome {
    match call.label {
        Invocation::MachineInterrupt => make_line(call),
        Invocation::MachineCounter => {
            call.need(Rights::READ)?;
            let value = match call.words[0] {
                counter::BOOT_TICKS => state::BOOT_TICKS.load(Ordering::Relaxed),
                counter::RENDEZVOUS => state::STOPS.load(Ordering::Relaxed),
                counter::DISTURBANCES => state::local().disturbances.get(),
                counter::EXITS => state::local().svm.get().map_or(0, |svm| svm.exits()),
                _ => return Err(Abort::Error(Error::InvalidArgument)),
            };
            call.answer(&[value])
        }
        Invocation::MachineAdopt => estate::adopt(call),
        Invocation::MachineSurrender => estate::surrender(call),
        Invocation::MachineAdoptCpu => cpu::adopt(call),
        Invocation::MachineRing => {
            call.need(Rights::WRITE)?;
            let vector = interrupt::vector_of(DOORBELL as usize);
            lapic::send_ipi(cpu::apic_id(call.words[0])?, vector);
            call.answer(&[])
        }
        Invocation::MachineInit => cpu::init(call),
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn make_line(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::World)?;
    let [gsi, mode, cnode, index] = call.words;
    let line = usize::try_from(gsi).ok().and_then(store::line).ok_or(Error::OutOfRange)?;
    if gsi != DOORBELL && gsi >= u64::from(ioapic::gsi_count()).min(DOORBELL) {
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
    if gsi != DOORBELL && !ioapic::route(gsi as u32, interrupt::vector_of(gsi as usize), boot_cpu, level, low)
    {
        return Err(Abort::Error(Error::OutOfRange));
    }
    set_mask(gsi, true);
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
            call.need(Rights::MANAGE)?;
            call.hold.need(Grip::World)?;
            let (source, _) =
                lookup::typed(call.thread, call.words[0], ObjectType::Notification, Rights::WRITE)?;
            let slot = line.slot.at(0);
            finalise::delete(slot, call.hold)?;
            let cap = finalise::embed(source, slot, Rights::WRITE)?;
            line.badge.set(cap.badge);
            line.notification.set(Ref::from_cap(&cap));
            set_mask(gsi, false);
            call.answer(&[])
        }
        Invocation::InterruptAck => {
            call.need(Rights::WRITE)?;
            if line.level.load(Ordering::Relaxed) && line.notification.get().is_some() {
                set_mask(gsi, false);
            }
            call.answer(&[])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

/// The doorbell is no pin: there is nothing to mask.
fn set_mask(gsi: u64, mask: bool) {
    match (gsi == DOORBELL, mask) {
        (true, _) => {}
        (false, true) => ioapic::mask(gsi as u32),
        (false, false) => ioapic::unmask(gsi as u32),
    }
}
