// SPDX-License-Identifier: MIT OR Apache-2.0
//! vCPUs: configure, map the page, kick, export and import state.

use super::{Call, frame};
use crate::finalise;
use crate::hold::{Abort, Grip, Outcome};
use crate::{lookup, state, vcpu_run};
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::{PAGE_SIZE, vcpu::group};
use core::sync::atomic::Ordering;
use store::{Ref, Vcpu};
use x86_machine::{lapic, svm, vectors};

/// All vCPUs use one address-space number: the core flushes when another vCPU runs on a CPU.
const ASID: u32 = 1;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    let vcpu = Ref::<Vcpu>::from_cap(call.cap).ok_or(Error::InvalidCapability)?;
    match call.label {
        Invocation::VcpuConfigure => configure(call, vcpu),
        Invocation::VcpuMapPage => map_page(call, vcpu),
        Invocation::VcpuKick => {
            call.need(Rights::WRITE)?;
            kick(vcpu);
            call.answer(&[])
        }
        Invocation::VcpuExport => {
            let (svm, groups) = still(call, vcpu)?;
            svm::export(svm, &Vcpu::pages(vcpu), groups);
            vcpu_run::release(vcpu);
            call.answer(&[])
        }
        Invocation::VcpuImport => {
            let (svm, groups) = still(call, vcpu)?;
            let taken = svm::import(svm, &Vcpu::pages(vcpu), groups);
            vcpu_run::release(vcpu);
            taken.map_err(|_| Error::InvalidArgument)?;
            call.answer(&[])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn configure(call: &Call, vcpu: Ref<Vcpu>) -> Outcome {
    call.need(Rights::MANAGE)?;
    // Whoever ran it has given it up when the world stands still.
    call.hold.need(Grip::World)?;
    let (source, _) = lookup::typed(call.thread, call.words[0], ObjectType::GuestSpace, Rights::MANAGE)?;
    let slot = vcpu.space_slot.at(0);
    finalise::delete(slot, call.hold)?;
    let cap = finalise::embed(source, slot, Rights::ALL)?;
    vcpu.space.set(Ref::from_cap(&cap));
    vcpu.sealed_write.set(0);
    svm::init(&Vcpu::pages(vcpu), cap.object + PAGE_SIZE, ASID);
    call.answer(&[])
}

fn map_page(call: &Call, vcpu: Ref<Vcpu>) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::Lock)?;
    let (_, space) = lookup::typed(call.thread, call.words[0], ObjectType::HostSpace, Rights::MANAGE)?;
    let rights = Rights::READ.or(Rights::WRITE);
    frame::map_slot(vcpu.page_slot.at(0), &space, call.words[1], rights)?;
    call.answer(&[])
}

fn kick(vcpu: Ref<Vcpu>) {
    // The flag first: a CPU that enters the guest after this has seen it, one that is in the guest
    // leaves by the interrupt. Whoever set the flag sends it; until the flag is taken there is
    // nothing to add.
    if vcpu.kicked.swap(true, Ordering::SeqCst) {
        return;
    }
    let on = vcpu.running_on.load(Ordering::SeqCst);
    if on != 0 && on != state::here() && on != vcpu_run::SAVING {
        lapic::send_ipi(state::of(on as usize - 1).apic_id.load(Ordering::Relaxed), vectors::IPI_WAKE);
    }
}

/// Claim a vCPU to touch its state; the groups that are asked for. The caller releases it.
fn still(call: &Call, vcpu: Ref<Vcpu>) -> Result<(&'static svm::Cpu, u64), Abort> {
    call.need(Rights::EXECUTE)?;
    let svm = state::local().svm.get().ok_or(Error::Unsupported)?;
    let groups = call.words[0];
    if groups & !group::ALL != 0 {
        return Err(Abort::Error(Error::InvalidArgument));
    }
    if vcpu.space.get().is_none() {
        return Err(Abort::Error(Error::NotConfigured));
    }
    vcpu_run::claim(vcpu)?;
    Ok((svm, groups))
}
