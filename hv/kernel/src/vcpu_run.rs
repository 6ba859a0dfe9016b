// SPDX-License-Identifier: MIT OR Apache-2.0
//! `VcpuRun`: a vCPU runs until something concerns its VMM.
//!
//! The path from an exit to the VMM takes no lock. What concerns the core alone (an interrupt of
//! the machine, a sealed page that nobody has to be asked about) is dealt with here. Between two
//! rounds interrupts are let in; then the vCPU, its thread or its memory may have been taken away
//! by another CPU, so the system call is wound back before and executed again if anything happened.

use crate::hold::{Abort, Grip, Hold, Outcome};
use crate::invoke::{Opened, ask_pager, open_page};
use crate::state::{self, CpuState};
use crate::{inbox, lookup, thread, time};
use ::vcpu::exit::Cause;
use abi::error::Error;
use abi::rights::Rights;
use abi::vcpu::{Exit, access};
use addr::GuestPhysAddr;
use core::sync::atomic::Ordering;
use store::{GuestSpace, Ref, Thread, Vcpu};
use x86_machine::{cpu, percpu, svm};

/// In place of a CPU in the claim of a vCPU: its registers are being saved.
pub const SAVING: u32 = u32::MAX;

/// What one run works with.
struct Run {
    thread: Ref<Thread>,
    vcpu: Ref<Vcpu>,
    space: Ref<GuestSpace>,
    svm: &'static svm::Cpu,
    pages: svm::Pages,
}

/// What a round ended with.
enum Round {
    /// Another one.
    Again,
    /// The VMM has its exit.
    Done,
    /// The thread does not go on now; the system call is wound back.
    Leave,
    /// A page that is sealed, maybe.
    Refused(u64),
}

/// The system call.
pub fn run(thread: Ref<Thread>, hold: &Hold) -> Outcome {
    let vcpu: Ref<Vcpu> = lookup::object(thread, thread.context.rdi.get(), Rights::EXECUTE)?;
    let space = vcpu.space.get().ok_or(Error::NotConfigured)?;
    let svm = state::local().svm.get().ok_or(Error::Unsupported)?;
    claim(vcpu)?;
    let run = Run { thread, vcpu, space, svm, pages: Vcpu::pages(vcpu) };
    if vcpu.sealed_write.get() != 0 {
        let settled = run.settle_sealed_write(hold);
        release(vcpu);
        return settled;
    }
    if hold.need(Grip::Lock).is_ok() {
        // Whatever it was held for is done; a guest does not run with the lock held.
        release(vcpu);
        return Err(Abort::Again);
    }
    let ended = run.rounds(state::local());
    state::local().vcpu_deadline.set(u64::MAX);
    match ended {
        // Thread and vCPU may be gone: they are not touched any more.
        Round::Leave => Ok(()),
        Round::Refused(page) => {
            vcpu.sealed_write.set(page.saturating_add(1));
            release(vcpu);
            Err(Abort::Need(Grip::Lock))
        }
        Round::Done | Round::Again => {
            release(vcpu);
            thread.context.rax.set(0);
            Ok(())
        }
    }
}

/// Have a vCPU to oneself until [`release`]: nobody runs it or touches its state, and its registers
/// are on this CPU or in memory.
///
/// # Errors
/// `Busy` if another thread has it, `Again` while another CPU still holds its registers, which is
/// asked to save them.
pub fn claim(vcpu: Ref<Vcpu>) -> Outcome {
    match vcpu.running_on.compare_exchange(0, state::here(), Ordering::SeqCst, Ordering::Relaxed) {
        Ok(_) => {}
        Err(SAVING) => return Err(Abort::Again),
        // Does another thread have it?
        Err(_) => return Err(Abort::Error(Error::Busy)),
    }
    // Before the claim the registers could still have moved.
    match svm::fpu_home(&Vcpu::pages(vcpu)).filter(|&cpu| cpu != percpu::cpu_index()) {
        None => Ok(()),
        Some(cpu) => {
            release(vcpu);
            inbox::send_evict(vcpu, cpu);
            Err(Abort::Again)
        }
    }
}

/// Another CPU wants the registers of a vCPU that this one holds: saves them, unless a thread has
/// the vCPU now.
pub fn evict(vcpu: Ref<Vcpu>) {
    if let Some(svm) = state::local().svm.get()
        && vcpu.running_on.compare_exchange(0, SAVING, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    {
        svm::evict_fpu(svm, &Vcpu::pages(vcpu));
        release(vcpu);
    }
}

/// Gives up the claim that this CPU keeps while it lets interrupts in. Thread and vCPU are not
/// touched any more afterwards.
pub fn abandon(cpu: &CpuState) {
    if let Some(vcpu) = cpu.claimed.take() {
        release(vcpu);
    }
}

/// Give up a claim.
pub fn release(vcpu: Ref<Vcpu>) {
    vcpu.running_on.store(0, Ordering::SeqCst);
}

impl Run {
    fn rounds(&self, cpu: &CpuState) -> Round {
        loop {
            if let Some((exit, info)) = self.outside_reason(cpu) {
                svm::publish(self.svm, &self.pages, exit, &[info, 0, 0, 0]);
                return Round::Done;
            }
            self.flush_if_stale(cpu);
            match self.round(cpu) {
                Round::Again => {}
                ended => return ended,
            }
        }
    }

    /// A reason to return that does not come from the guest.
    fn outside_reason(&self, cpu: &CpuState) -> Option<(Exit, u64)> {
        if self.vcpu.kicked.load(Ordering::Relaxed) && self.vcpu.kicked.swap(false, Ordering::SeqCst) {
            return Some((Exit::Kicked, 0));
        }
        if let Some(notification) = self.thread.bound.get()
            && notification.word.load(Ordering::Relaxed) != 0
        {
            return Some((Exit::Notification, notification.word.swap(0, Ordering::SeqCst)));
        }
        let deadline = self.pages.shared.deadline.get();
        cpu.vcpu_deadline.set(deadline);
        if deadline != u64::MAX {
            if deadline <= cpu::rdtsc() {
                return Some((Exit::Deadline, 0));
            }
            if deadline < cpu.timer.get() {
                time::arm(cpu);
            }
        }
        None
    }

    /// Translations of this guest that the CPU may hold are stale if permissions were cut since, if
    /// another vCPU ran here since (they share an address-space number), or if this one ran
    /// elsewhere.
    fn flush_if_stale(&self, cpu: &CpuState) {
        self.space.enter(percpu::cpu_index());
        let generation = self.space.generation.load(Ordering::SeqCst);
        let address = self.vcpu.address();
        if self.vcpu.generation.get() != generation
            || cpu.last_vcpu.get() != address
            || self.vcpu.last_cpu.get() != state::here()
        {
            self.vcpu.generation.set(generation);
            cpu.last_vcpu.set(address);
            self.vcpu.last_cpu.set(state::here());
            svm::flush_next(&self.pages);
        }
    }

    fn round(&self, cpu: &CpuState) -> Round {
        match svm::run(self.svm, &self.pages) {
            Cause::HostInterrupt | Cause::HostNmi => self.let_interrupts_in(cpu),
            Cause::Reflect(exception) => {
                svm::reflect(&self.pages, exception);
                self.let_interrupts_in(cpu)
            }
            Cause::Memory(address, bits) if bits & access::WRITE != 0 && bits & access::PRESENT != 0 => {
                Round::Refused(address)
            }
            Cause::Memory(address, bits) => {
                svm::publish(self.svm, &self.pages, Exit::Memory, &[address, bits, 0, 0]);
                Round::Done
            }
            Cause::Guest(exit, info) => {
                svm::publish(self.svm, &self.pages, exit, &info);
                Round::Done
            }
        }
    }

    fn let_interrupts_in(&self, cpu: &CpuState) -> Round {
        thread::rewind(self.thread);
        cpu.claimed.set(Some(self.vcpu));
        cpu.in_window.set(true);
        cpu::interrupt_window();
        cpu.in_window.set(false);
        // The claim is gone if the world was stopped, from here or from elsewhere: then thread and
        // vCPU may be too.
        if cpu.claimed.take().is_none() {
            return Round::Leave;
        }
        if cpu.reschedule.get() || cpu.current.get() != Some(self.thread) {
            release(self.vcpu);
            return Round::Leave;
        }
        if cpu.timer_stale.get() {
            time::arm(cpu);
        }
        thread::advance(self.thread);
        Round::Again
    }

    /// Second half of a refused write, with the lock held.
    fn settle_sealed_write(&self, hold: &Hold) -> Outcome {
        hold.need(Grip::Lock)?;
        let page = self.vcpu.sealed_write.get() - 1;
        let opened = GuestPhysAddr::new(page).map_or(Opened::Never, |address| open_page(self.space, address));
        match opened {
            Opened::Yes => {
                self.vcpu.sealed_write.set(0);
                svm::flush_next(&self.pages);
                Err(Abort::Again)
            }
            Opened::Ask(sealed) => {
                thread::rewind(self.thread);
                let asked = ask_pager(self.thread, self.space, sealed, hold);
                if asked.is_err() {
                    thread::advance(self.thread);
                } else {
                    self.vcpu.sealed_write.set(0);
                }
                asked
            }
            Opened::Never => {
                self.vcpu.sealed_write.set(0);
                let bits = access::PRESENT | access::WRITE;
                svm::publish(self.svm, &self.pages, Exit::Memory, &[page, bits, 0, 0]);
                self.thread.context.rax.set(0);
                Ok(())
            }
        }
    }
}
