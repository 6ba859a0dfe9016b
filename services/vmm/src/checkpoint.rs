// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints of a VM, created and restored.
//!
//! Owns the order of steps: the caller's registers are set to what it shall see *after a restore*,
//! the typed state is gathered and handed over, memory is sealed by the checkpoint service, and
//! only then are the registers set to what the running VM sees. A restored state is checked as a
//! whole before any of it is used. Memory itself is the checkpoint service's.

use crate::device::board::Board;
use crate::handover::MOVING;
use crate::hypercall::{self, Call};
use crate::machine::{Activity, Machine, Outside, Pause, Processor, State, StoreError, settings};
use crate::memory::GuestMemory;
use crate::vcpu::{Vcpu, flag};
use abi::hypercall::{CREATED, NO_CHECKPOINT, OK, QUOTA_EXHAUSTED, RESTORED, UNAVAILABLE};
use abi::vcpu::{VcpuPage, group};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

/// The status that a program sees for an error.
fn status(error: &StoreError) -> u64 {
    match error {
        StoreError::QuotaExhausted => QUOTA_EXHAUSTED,
        StoreError::NoCheckpoint => NO_CHECKPOINT,
        StoreError::Unavailable(_) | StoreError::Torn(_) => UNAVAILABLE,
    }
}

impl<M: GuestMemory, V: Vcpu, O: Outside> Machine<M, V, O> {
    /// Does what a program in the guest has asked for; its registers say what came of it.
    pub(crate) fn call(&mut self, cpu: usize, call: Call) {
        let refused = match call {
            Call::Refused(status) => Some((status, None)),
            Call::Quota => Some(match self.outside.quota() {
                Ok(left) => {
                    self.quota_left = left;
                    (OK, Some(left.into()))
                }
                Err(error) => (status(&error), None),
            }),
            Call::Checkpoint => {
                let since = self.processors.get_mut(cpu).map_or(0, |at| at.vcpu.page().exit_tsc);
                self.checkpoint(Some(cpu), since).err().map(|error| {
                    self.outside.log(format_args!("no checkpoint: {error}"));
                    (status(&error), None)
                })
            }
            Call::Restore(id) => self.restore_checkpoint(id).err().map(|error| {
                self.outside.log(format_args!("checkpoint {id} not restored: {error}"));
                (status(&error), None)
            }),
        };
        if let (Some((status, result)), Some(processor)) = (refused, self.processors.get_mut(cpu)) {
            hypercall::answer(processor.vcpu.page(), status, result);
        }
    }

    /// Creates a checkpoint at the request of an operator.
    ///
    /// # Errors
    /// [`StoreError`]; the VM goes on as if nothing had been asked.
    pub(crate) fn create_checkpoint(&mut self) -> Result<u64, StoreError> {
        if !matches!(self.state, State::Running | State::Paused) {
            return Err(StoreError::Unavailable("the VM does not run".into()));
        }
        let since = self.outside.now();
        self.checkpoint(None, since)
    }

    /// Creates a checkpoint. `caller` is the vCPU whose program asked: its call returns twice.
    fn checkpoint(&mut self, caller: Option<usize>, since: u64) -> Result<u64, StoreError> {
        self.at_rest()?;
        let id = self.outside.begin()?;
        if let Some(processor) = caller.and_then(|cpu| self.processors.get_mut(cpu)) {
            hypercall::answer(processor.vcpu.page(), RESTORED, Some(id));
        }
        let host = self.outside.now();
        let state = self.gather(host)?.save();
        self.outside.commit(id, &state)?;
        if let Some(processor) = caller.and_then(|cpu| self.processors.get_mut(cpu)) {
            hypercall::answer(processor.vcpu.page(), CREATED, Some(id));
        }
        self.quota_left = self.quota_left.saturating_sub(1);
        self.pause = Some(Pause { id, since });
        self.copying = Some(id);
        Ok(id)
    }

    /// No checkpoint while the VM goes to another hypervisor. The checkpoint service learns of a VM
    /// that has come from one.
    fn at_rest(&mut self) -> Result<(), StoreError> {
        if self.is_moving() {
            return Err(StoreError::Unavailable(MOVING.into()));
        }
        if core::mem::take(&mut self.handover.unknown) {
            self.outside.attach();
        }
        Ok(())
    }

    /// The machine's typed state at this host TSC; the vCPUs' pages hold all groups afterwards.
    pub(crate) fn gather(&mut self, host: u64) -> Result<state::Machine, StoreError> {
        let mut machine = state::Machine::default();
        self.gather_into(&mut machine, host)?;
        Ok(machine)
    }

    /// The same in place of a record that was made before, whose room is used again.
    pub(crate) fn gather_into(&mut self, machine: &mut state::Machine, host: u64) -> Result<(), StoreError> {
        self.gather_devices(machine, host);
        machine.vcpus.resize_with(self.processors.len(), state::Vcpu::default);
        for ((index, processor), vcpu) in (0..).zip(&mut self.processors).zip(&mut machine.vcpus) {
            settle(processor)?;
            vcpu.take_page(processor.vcpu.page(), host);
            vcpu.index = index;
            vcpu.activity = match processor.activity {
                Activity::Running => state::Activity::RUNNING,
                Activity::Halted => state::Activity::HALTED,
                Activity::WaitingForStartup => state::Activity::WAITING_FOR_STARTUP,
            };
        }
        Ok(())
    }

    /// The same without vCPUs.
    pub(crate) fn gather_devices(&mut self, machine: &mut state::Machine, host: u64) {
        let now = self.guest_time(host);
        machine.name.clone_from(&self.config.name);
        machine.memory_bytes = self.memory.size();
        machine.tsc_khz = self.config.tsc_khz;
        machine.paused = self.state == State::Paused;
        let token = &mut machine.token;
        token.secret.0.clear();
        token.secret.0.extend_from_slice(&self.config.token);
        token.quota = self.config.quota;
        token.used = self.config.quota.saturating_sub(self.quota_left);
        self.board.save(machine, now);
        for (apic, processor) in machine.apics.iter_mut().zip(&self.processors) {
            apic.nmi_pending = processor.nmi;
        }
    }

    /// Goes back to a checkpoint; the VM then does what it did at that moment.
    ///
    /// # Errors
    /// [`StoreError`]; the VM is as it was, but for [`StoreError::Torn`], which ends it.
    pub(crate) fn restore_checkpoint(&mut self, id: u64) -> Result<(), StoreError> {
        let begun = self.outside.now();
        let done = self.try_restore(id);
        match &done {
            Ok(()) => {
                let ticks = self.outside.now().wrapping_sub(begun);
                self.outside.log(format_args!("checkpoint {id} restored in {ticks} ticks"));
            }
            Err(error @ StoreError::Torn(_)) => self.fail(&format!("checkpoint {id}: {error}")),
            Err(_) => {}
        }
        done
    }

    /// Checks the state, has the core take the vCPUs' part of it, and only then lets memory change.
    fn try_restore(&mut self, id: u64) -> Result<(), StoreError> {
        self.at_rest()?;
        let bytes = self.outside.state(id)?;
        let unfit = |why: &dyn core::fmt::Display| StoreError::Unavailable(format!("its state: {why}"));
        let machine = state::Machine::load(&bytes).map_err(|error| unfit(&error))?;
        if machine.memory_bytes != self.memory.size() || machine.vcpus.len() != self.processors.len() {
            return Err(unfit(&"it is of a machine of another shape"));
        }
        let host = self.outside.now();
        let mut before = Vec::new();
        for processor in &mut self.processors {
            settle(processor)?;
            before.push(Box::new(*processor.vcpu.page()));
        }
        let mut done = Ok(());
        for (saved, processor) in machine.vcpus.iter().zip(&mut self.processors) {
            saved.to_page(processor.vcpu.page(), host);
            let taken = processor.vcpu.import(group::ALL);
            done = done.and(taken.map_err(|error| unfit(&format!("the processor refuses it: {error:?}"))));
        }
        if let Err(error) = done.and_then(|()| self.outside.restore(id)) {
            self.put_back(&before)?;
            return Err(error);
        }
        self.take_state(&machine)
    }

    /// The vCPUs as they were before a restore that came to nothing.
    fn put_back(&mut self, before: &[Box<VcpuPage>]) -> Result<(), StoreError> {
        for (page, processor) in before.iter().zip(&mut self.processors) {
            *processor.vcpu.page() = **page;
            let taken = processor.vcpu.import(group::ALL);
            taken.map_err(|error| StoreError::Torn(format!("the vCPU's own state: {error:?}")))?;
        }
        Ok(())
    }

    /// Memory is as it was then: the rest of the machine follows.
    fn take_state(&mut self, machine: &state::Machine) -> Result<(), StoreError> {
        let mut board = Board::new(settings(&self.config, machine.memory_bytes));
        board.load(machine);
        let host = self.outside.now();
        for (saved, processor) in machine.vcpus.iter().zip(&mut self.processors) {
            let resumed = resume_vcpu(processor, saved, host);
            resumed.map_err(|error| StoreError::Torn(format!("the vCPU's clock: {error:?}")))?;
        }
        for (apic, processor) in machine.apics.iter().zip(&mut self.processors) {
            processor.nmi = apic.nmi_pending;
        }
        self.board = board;
        self.state = if machine.paused { State::Paused } else { State::Running };
        self.pause = None;
        let now = self.guest_time(host);
        let Board { devices, clock, .. } = &mut self.board;
        let pages = (0..self.processors.len()).filter_map(|cpu| devices.pvclock.refresh(cpu, clock, now));
        let writes: Vec<_> = pages.collect();
        for write in writes {
            // The clock has checked the range; a refused write costs the guest its clock page, no
            // more.
            let _ = self.memory.write(write.address, &write.bytes);
        }
        Ok(())
    }
}

/// Has the core take what is marked dirty, so that page and vCPU agree, and brings all groups into
/// the page.
fn settle<V: Vcpu>(processor: &mut Processor<V>) -> Result<(), StoreError> {
    let refused = |error| StoreError::Unavailable(format!("the core refuses the vCPU's state: {error:?}"));
    let vcpu = &mut processor.vcpu;
    let dirty = vcpu.page().dirty;
    if dirty != 0 {
        vcpu.import(dirty).map_err(refused)?;
        vcpu.page().dirty = 0;
    }
    vcpu.export(group::SYSTEM | group::MSRS | group::FPU).map_err(refused)
}

/// Lets a vCPU whose state has been taken go on from there; its clock continues at this host TSC.
fn resume_vcpu<V: Vcpu>(
    processor: &mut Processor<V>,
    saved: &state::Vcpu,
    host: u64,
) -> Result<(), abi::error::Error> {
    processor.vcpu.page().tsc_offset = saved.tsc.wrapping_sub(host);
    processor.vcpu.import(group::MSRS)?;
    ready(processor, saved);
    Ok(())
}

/// Makes a vCPU ready to go on from a state that the core has taken as a whole.
pub(crate) fn ready<V: Vcpu>(processor: &mut Processor<V>, saved: &state::Vcpu) {
    let page = processor.vcpu.page();
    page.interruptible = u64::from(page.rflags & flag::INTERRUPT != 0 && page.interrupt_shadow == 0);
    page.want_window = 0;
    page.dirty = 0;
    processor.activity = match saved.activity {
        state::Activity::HALTED => Activity::Halted,
        state::Activity::WAITING_FOR_STARTUP => Activity::WaitingForStartup,
        _ => Activity::Running,
    };
}
