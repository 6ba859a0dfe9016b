// SPDX-License-Identifier: MIT OR Apache-2.0
//! Untyped memory: retype, describe.

use super::Call;
use crate::hold::{Abort, Grip, Outcome};
use crate::{lookup, state};
use abi::PAGE_BITS;
use abi::boot::Virtualization;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{Cap, Retype, Shape, SlotRef, Step};
use store::{AnySpace, GuestSpace, HostSpace, Ref, SlotMemory, Thread, Vcpu};

/// Pages cleared in one system call; then interrupts have a chance.
const CLEAR_PAGES: u64 = 64;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    match call.label {
        Invocation::UntypedRetype => retype(call),
        Invocation::UntypedDescribe => {
            call.need(Rights::READ)?;
            let left = cap::unused_bytes(&SlotMemory, call.slot);
            call.answer(&[call.cap.object, u64::from(call.cap.size_bits), left])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn retype(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::Lock)?;
    let shape = Shape::from_word(call.words[0])?;
    // Can this machine have such an object?
    let virtual_machine = matches!(shape.kind(), ObjectType::GuestSpace | ObjectType::Vcpu);
    if virtual_machine && x86_machine::boot::facts().virtualization != Virtualization::Svm {
        return Err(Abort::Error(Error::Unsupported));
    }
    // Each space has a number. With the lock held nobody else takes one.
    let spaces = matches!(shape.kind(), ObjectType::HostSpace | ObjectType::GuestSpace);
    if spaces && store::numbers_left() < shape.count() {
        return Err(Abort::Error(Error::NotEnoughMemory));
    }
    let to = lookup::destination(call.thread, call.words[1], call.words[2], shape.count())?;
    let retype = Retype::decode(&SlotMemory, call.slot, shape, to)?;
    match retype.step(CLEAR_PAGES) {
        Step::Clear(clearing) => {
            store::clear(clearing.base(), clearing.size());
            clearing.done(&mut SlotMemory);
            Err(Abort::Again)
        }
        Step::Perform(make) => {
            for (_, cap) in make.objects() {
                let _ = initialise(&cap);
            }
            make.perform(&mut SlotMemory);
            call.answer(&[])
        }
    }
}

/// Sets what is not zero in a fresh object. `None` does not happen: the capability is of the type,
/// and spaces have their numbers.
fn initialise(cap: &Cap) -> Option<()> {
    match cap.kind() {
        ObjectType::Thread => {
            Ref::<Thread>::from_cap(cap)?.initialise();
            state::count_thread(0, true);
        }
        ObjectType::HostSpace => {
            let space = Ref::<HostSpace>::from_cap(cap)?;
            HostSpace::initialise(space, cap.size_bits);
            space.id.set(store::enter_space(AnySpace::Host(space))?);
        }
        ObjectType::GuestSpace => {
            let space = Ref::<GuestSpace>::from_cap(cap)?;
            GuestSpace::initialise(space, cap.size_bits);
            space.id.set(store::enter_space(AnySpace::Guest(space))?);
        }
        ObjectType::Vcpu => {
            let vcpu = Ref::<Vcpu>::from_cap(cap)?;
            Vcpu::initialise(vcpu);
            fill_page_slot(vcpu.page_slot.at(0), Vcpu::shared_page(vcpu));
        }
        _ => {}
    }
    Some(())
}

/// The slot through which a vCPU's shared page is mapped. It is derived from nothing, so it is
/// nobody's to copy or revoke.
fn fill_page_slot(slot: SlotRef, page: u64) {
    let frame = Cap::new(ObjectType::Frame, Rights::READ.or(Rights::WRITE), PAGE_BITS, page);
    cap::insert_root(&mut SlotMemory, slot, frame);
}
