// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkpoints of a VM, created and restored.
//!
//! Owns the order of steps: the checkpoint service seals memory, the caller's registers are set to
//! what it shall see *after a restore*, the typed state is gathered, and only then are the
//! registers set to what the running VM sees. The state is handed over when the VM runs again. A
//! restored state is checked as a whole before any of it is used. Memory itself is the checkpoint
//! service's.

use crate::hypercall::{self, Call};
use crate::machine::away::MOVING;
use crate::machine::snapshot::settle;
use crate::machine::{Backend, CheckpointError, Machine, Pause, State};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::hypercall::{CREATED, NO_CHECKPOINT, OK, QUOTA_EXHAUSTED, RESTORED, UNAVAILABLE};
use abi::vcpu::{VcpuPage, group};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

/// How long a VM runs before the state of its checkpoint is handed over, if it does not wait for
/// something earlier.
const SAVE_AFTER_MS: u64 = 1;

/// The status that a program sees for an error.
fn status(error: &CheckpointError) -> u64 {
    match error {
        CheckpointError::QuotaExhausted => QUOTA_EXHAUSTED,
        CheckpointError::NoCheckpoint => NO_CHECKPOINT,
        CheckpointError::Unavailable(_) | CheckpointError::Torn(_) => UNAVAILABLE,
    }
}

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Does what a program in the guest has asked for; its registers say what came of it.
    pub fn call(&mut self, cpu: usize, call: Call) {
        let refused = match call {
            Call::Refused(status) => Some((status, None)),
            Call::Quota => Some(match self.backend.quota() {
                Ok(left) => {
                    self.quota_left = left;
                    (OK, Some(left.into()))
                }
                Err(error) => (status(&error), None),
            }),
            Call::Checkpoint => {
                let since = self.processors.get_mut(cpu).map_or(0, |at| at.vcpu.page().exit_tsc);
                self.checkpoint(Some(cpu), since).err().map(|error| {
                    self.backend.log(format_args!("no checkpoint: {error}"));
                    (status(&error), None)
                })
            }
            Call::Restore(id) => self.restore_checkpoint(id).err().map(|error| {
                self.backend.log(format_args!("checkpoint {id} not restored: {error}"));
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
    /// [`CheckpointError`]; the VM goes on as if nothing had been asked.
    pub(crate) fn create_checkpoint(&mut self) -> Result<u64, CheckpointError> {
        if !matches!(self.state, State::Running | State::Paused) {
            return Err(CheckpointError::Unavailable("the VM does not run".into()));
        }
        let since = self.backend.now();
        self.checkpoint(None, since)
    }

    /// Creates a checkpoint. `caller` is the vCPU whose program asked: its call returns twice. The
    /// VM stands still meanwhile, so the state is taken here, and made into bytes and handed over
    /// when it runs again.
    fn checkpoint(&mut self, caller: Option<usize>, since: u64) -> Result<u64, CheckpointError> {
        self.at_rest()?;
        let id = self.backend.begin()?;
        if let Some(processor) = caller.and_then(|cpu| self.processors.get_mut(cpu)) {
            hypercall::answer(processor.vcpu.page(), RESTORED, Some(id));
        }
        let host = self.backend.now();
        let mut record = core::mem::take(&mut self.saving.record);
        let gathered = self.gather_into(&mut record, host);
        self.saving.record = record;
        if let Err(error) = gathered {
            self.backend.abort(id);
            return Err(error);
        }
        if let Some(processor) = caller.and_then(|cpu| self.processors.get_mut(cpu)) {
            hypercall::answer(processor.vcpu.page(), CREATED, Some(id));
        }
        self.saving.of = Some((id, host.saturating_add(SAVE_AFTER_MS.saturating_mul(self.config.tsc_khz))));
        self.quota_left = self.quota_left.saturating_sub(1);
        self.pause = Some(Pause { id, since });
        self.copying = Some(id);
        Ok(id)
    }

    /// No checkpoint while the VM goes to another hypervisor. The checkpoint service learns of a VM
    /// that has come from one.
    fn at_rest(&mut self) -> Result<(), CheckpointError> {
        if self.is_moving() {
            return Err(CheckpointError::Unavailable(MOVING.into()));
        }
        if core::mem::take(&mut self.handover.unknown) {
            self.backend.attach();
        }
        self.finish_saving();
        Ok(())
    }

    /// Goes back to a checkpoint; the VM then does what it did at that moment.
    ///
    /// # Errors
    /// [`CheckpointError`]; the VM is as it was, but for [`CheckpointError::Torn`], which ends it.
    pub(crate) fn restore_checkpoint(&mut self, id: u64) -> Result<(), CheckpointError> {
        let begun = self.backend.now();
        let done = self.try_restore(id);
        match &done {
            Ok(()) => {
                let ticks = self.backend.now().wrapping_sub(begun);
                self.backend.log(format_args!("checkpoint {id} restored in {ticks} ticks"));
            }
            Err(error @ CheckpointError::Torn(_)) => self.fail(&format!("checkpoint {id}: {error}")),
            Err(_) => {}
        }
        done
    }

    /// Checks the state, has the core take the vCPUs' part of it, and only then lets memory change.
    fn try_restore(&mut self, id: u64) -> Result<(), CheckpointError> {
        self.at_rest()?;
        let bytes = self.backend.state(id)?;
        let unfit = |why: &dyn core::fmt::Display| CheckpointError::Unavailable(format!("its state: {why}"));
        let machine = state::Machine::load(&bytes).map_err(|error| unfit(&error))?;
        if machine.memory_bytes != self.memory.size() || machine.vcpus.len() != self.processors.len() {
            return Err(unfit(&"it is of a machine of another shape"));
        }
        let host = self.backend.now();
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
        if let Err(error) = done.and_then(|()| self.backend.restore(id)) {
            self.put_back(&before)?;
            return Err(error);
        }
        self.take_state(&machine)
    }

    /// Puts the vCPUs back as they were before a restore that failed.
    fn put_back(&mut self, before: &[Box<VcpuPage>]) -> Result<(), CheckpointError> {
        for (page, processor) in before.iter().zip(&mut self.processors) {
            *processor.vcpu.page() = **page;
            let taken = processor.vcpu.import(group::ALL);
            taken.map_err(|error| CheckpointError::Torn(format!("the vCPU's own state: {error:?}")))?;
        }
        Ok(())
    }
}
