// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a vCPU between the kernel's decisions: made, run, reported.

use super::cpu::{self, Cpu};
use super::fpu;
use super::pages::{Pages, SharedPage};
use super::transfer;
use super::vmcb::{Vmcb, interrupt_control};
use crate::cpu::rdtsc;
use abi::vcpu::{Exit, gpr, group};
use core::sync::atomic::Ordering::Relaxed;
use svm::exit::{RawExit, decode};
use svm::policy;
use vcpu::event;
use vcpu::exit::Cause;
use vcpu::state::{Msrs, System};

core::arch::global_asm!(include_str!("enter.S"));

unsafe extern "C" {
    /// See `enter.S`.
    fn understudy_svm_enter(vmcb: u64, gpr: *const super::pages::Word, host: u64);
}

const NESTED_PAGING: u64 = 1;
const INVALID: u32 = u32::MAX;
const RFLAGS_IF: u64 = 1 << 9;

/// Makes a vCPU in the state after a reset, and shows that state in the shared page. If it has run
/// before, all other CPUs have to be stopped.
pub fn init(pages: &Pages, nested_root: u64, asid: u32) {
    let vmcb = pages.vmcb;
    fpu::forget_fpu(pages);
    for word in vmcb.words() {
        word.set(0);
    }
    let (io_map, msr_map) = cpu::maps();
    vmcb.intercept_exceptions.set(policy::EXCEPTIONS);
    vmcb.intercepts_1.set(policy::INTERCEPTS_1);
    vmcb.intercepts_2.set(policy::INTERCEPTS_2);
    vmcb.io_map.set(io_map);
    vmcb.msr_map.set(msr_map);
    vmcb.nested_control.set(NESTED_PAGING);
    vmcb.nested_root.set(nested_root);
    vmcb.interrupt_control.set(interrupt_control::MASKING);
    vmcb.asid.set(asid);
    transfer::reset_private(pages.private);
    transfer::apply_system(pages, &System::reset());
    transfer::apply_msrs(pages, &Msrs::reset());
    vmcb.rip.set(0xfff0);
    vmcb.rflags.set(2);
    pages.shared.deadline.set(u64::MAX);
    transfer::export_all_of_new(pages);
    flush_next(pages);
}

/// Gives a vCPU another address-space number, and flushes what went by it.
pub fn set_asid(pages: &Pages, asid: u32) {
    pages.vmcb.asid.set(asid);
    flush_next(pages);
}

/// The next round starts without cached translations of this guest.
pub fn flush_next(pages: &Pages) {
    pages.vmcb.tlb_control.set(cpu::FLUSH.load(Relaxed));
}

/// Runs a vCPU to its next exit. Interrupts are off before and after; one that ended the round is
/// pending.
///
/// What the VMM has marked in the page is taken first; if it is refused, nothing is taken, nothing
/// runs, and the exit decodes as [`Exit::InvalidState`].
pub fn run(cpu: &Cpu, pages: &Pages) -> Cause {
    let (vmcb, shared, private) = (pages.vmcb, pages.shared, pages.private);
    let dirty = shared.dirty.get();
    if dirty != 0 {
        shared.dirty.set(0);
        if let Err(field) = transfer::import(cpu, pages, dirty) {
            return decode(&RawExit::refused(field));
        }
    }
    let mut injected = private.pending_event.get();
    let wanted = shared.inject.get();
    if wanted != 0 {
        shared.inject.set(0);
        match event::alleged(wanted) {
            Ok(event) => injected = event.unwrap_or(injected),
            Err(field) => return decode(&RawExit::refused(field)),
        }
    }
    vmcb.event_injection.set(injected);
    set_window(vmcb, shared.want_window.get() & 1 == 1);
    fpu::load_fpu(cpu, pages);
    if private.unproven.get() {
        take_snapshot(pages);
    }
    // SAFETY: (1) SVM is on, since there is a `Cpu`; (2) the control block is this vCPU's, with
    // nested paging on, a root that the kernel gave, every port and all but the guest's own MSRs
    // intercepted, so the guest reaches its memory only; (3) the words are the shared page's
    // general registers; (4) interrupts are off, by the convention of the crate.
    unsafe { understudy_svm_enter(pages.vmcb_phys, shared.gpr.as_ptr(), cpu.host_phys.get()) };
    cpu.count_exit();
    private.pending_event.set(event::cut_short(vmcb.exit_int_info.get()));
    let raw =
        RawExit { code: vmcb.exit_code.get(), info1: vmcb.exit_info1.get(), info2: vmcb.exit_info2.get() };
    if raw.code as u32 == INVALID {
        recover(pages);
        return decode(&RawExit { info1: 0, ..raw });
    }
    private.unproven.set(false);
    vmcb.tlb_control.set(0);
    decode(&raw)
}

/// An exception that was intercepted is the guest's after all: the next round injects it.
pub fn reflect(pages: &Pages, exception: u64) {
    let (pending, dr7) = (&pages.private.pending_event, &pages.vmcb.dr7);
    pending.set(event::reflected(exception, pending.get()));
    dr7.set(event::dr7_after(pending.get(), dr7.get()));
}

/// Tells the VMM: exit, details, and the groups of state that it sees at every exit and that it
/// wants.
///
/// An exit may come before a round has taken what the VMM marked; then it is taken now, so that it
/// is not overwritten. (An event to inject stays in the page.)
pub fn publish(cpu: &Cpu, pages: &Pages, mut exit: Exit, info: &[u64; 4]) {
    let (vmcb, shared) = (pages.vmcb, pages.shared);
    let mut info = *info;
    let dirty = shared.dirty.get();
    if dirty != 0 {
        shared.dirty.set(0);
        if let Err(field) = transfer::import(cpu, pages, dirty) {
            exit = Exit::InvalidState;
            info = [field as u64, 0, 0, 0];
        }
    }
    shared.exit.set(exit as u64);
    for (word, value) in shared.info.iter().zip(info) {
        word.set(value);
    }
    shared.pending_event.set(pages.private.pending_event.replace(0));
    shared.exit_tsc.set(rdtsc());
    export_basic(vmcb, shared);
    let wanted = shared.want.get() & group::ALL & !group::BASIC;
    if wanted != 0 {
        transfer::export(cpu, pages, wanted);
    }
}

/// Group `BASIC`. The other general registers are in the page already: the guest is entered with
/// those words.
pub(super) fn export_basic(vmcb: &Vmcb, shared: &SharedPage) {
    let shadow = vmcb.interrupt_shadow.get() & 1;
    let rflags = vmcb.rflags.get();
    shared.gpr[gpr::RAX].set(vmcb.rax.get());
    shared.gpr[gpr::RSP].set(vmcb.rsp.get());
    shared.rip.set(vmcb.rip.get());
    shared.rflags.set(rflags);
    shared.interrupt_shadow.set(shadow);
    shared.interruptible.set(u64::from(rflags & RFLAGS_IF != 0 && shadow == 0));
    shared.cr0.set(vmcb.cr0.get());
    shared.cr2.set(vmcb.cr2.get());
    shared.cr3.set(vmcb.cr3.get());
    shared.cr4.set(vmcb.cr4.get());
    shared.cr8.set(u64::from(vmcb.interrupt_control.get() & 0xf));
    shared.efer.set(vmcb.efer.get() & !vcpu::limits::EFER_SVME);
    shared.cpl.set(u64::from(vmcb.cpl.get()));
    let code = abi::vcpu::segment::CS;
    shared.segments[code][0].set(vmcb.segments[code].low.get());
    shared.segments[code][1].set(vmcb.segments[code].base.get());
}

/// Asks for an exit as soon as the guest could take an interrupt, or no longer.
fn set_window(vmcb: &Vmcb, wanted: bool) {
    let control = vmcb.interrupt_control.get() & interrupt_control::TPR | interrupt_control::MASKING;
    if wanted {
        vmcb.interrupt_control.set(control | interrupt_control::PENDING);
        vmcb.intercepts_1.set(policy::INTERCEPTS_1 | policy::WINDOW);
    } else {
        vmcb.interrupt_control.set(control);
        vmcb.intercepts_1.set(policy::INTERCEPTS_1);
    }
}

#[cold]
#[inline(never)]
fn take_snapshot(pages: &Pages) {
    for (kept, word) in pages.private.snapshot.iter().zip(pages.vmcb.save_area()) {
        kept.set(word.get());
    }
}

/// After a refused VMRUN, puts back the guest's state: the emulator leaves the host's in its place.
///
/// Only a state that a VMM has changed can be refused, and that one was kept. If the processor
/// refuses another one all the same, the vCPU is reset: no host state may be seen.
#[cold]
#[inline(never)]
fn recover(pages: &Pages) {
    let vmcb = pages.vmcb;
    if !pages.private.unproven.get() {
        transfer::apply_system(pages, &System::reset());
        transfer::apply_msrs(pages, &Msrs::reset());
        for cell in [&vmcb.rip, &vmcb.rsp, &vmcb.rax, &vmcb.rflags] {
            cell.set(0);
        }
        return;
    }
    for (kept, word) in pages.private.snapshot.iter().zip(vmcb.save_area()) {
        word.set(kept.get());
    }
    vmcb.interrupt_shadow.set(0);
    vmcb.interrupt_control.set(interrupt_control::MASKING);
}
