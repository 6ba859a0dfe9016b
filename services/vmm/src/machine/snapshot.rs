// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine's typed state, taken and put back.
//!
//! Owns the way between the running machine and its record: vCPUs by way of the core, devices by
//! their own `save` and `load`. Who keeps the record, and what else is needed, is told by
//! [`crate::checkpoint`] and [`crate::handover`].

use super::{Activity, Backend, CheckpointError, Machine, Processor, State, settings};
use crate::device::board::Board;
use crate::memory::GuestMemory;
use crate::vcpu::{Vcpu, flag};
use abi::vcpu::group;
use alloc::format;
use alloc::vec::Vec;
use state::Ended;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Hands over the state of the last checkpoint, if that is still to be done. Where it is not
    /// taken there is no checkpoint, though its caller was told otherwise: as where the store has
    /// no room for its pages.
    pub(crate) fn finish_saving(&mut self) {
        let Some((id, _)) = self.saving.of.take() else { return };
        self.saving.record.save_into(&mut self.saving.bytes);
        if let Err(error) = self.backend.commit(id, &self.saving.bytes) {
            self.backend.log(format_args!("checkpoint {id} is lost: {error}"));
        }
    }

    /// Takes the machine's typed state at this host TSC in place of a record that was made before,
    /// whose room is used again; the vCPUs' pages hold all groups afterwards.
    pub(crate) fn gather_into(
        &mut self,
        machine: &mut state::Machine,
        host: u64,
    ) -> Result<(), CheckpointError> {
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

    /// Gathers the same without vCPUs.
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

    /// The machine's typed state as of host TSC `tsc`, in place of what is in `record`.
    pub(crate) fn record(&mut self, record: &mut state::Machine, tsc: u64) -> Result<(), CheckpointError> {
        record.reason.clear();
        record.ended = match &self.state {
            State::Running | State::Paused => Ended::NO,
            State::Stopped => Ended::STOPPED,
            State::Failed(why) => {
                record.reason.push_str(why);
                Ended::FAILED
            }
        };
        if record.ended == Ended::NO {
            self.gather_into(record, tsc)?;
        } else {
            self.gather_devices(record, tsc);
            record.vcpus.clear();
            record.apics.clear();
        }
        record.console_bytes = self.console.end();
        record.console_line.clear();
        record.console_line.push_str(self.console.line());
        record.uptime_ms = self.uptime_ms(tsc);
        Ok(())
    }

    /// Milliseconds since it was started.
    pub(crate) fn uptime_ms(&self, now: u64) -> u64 {
        let ticks = if self.started == 0 { 0 } else { now.saturating_sub(self.started) };
        ticks / self.config.tsc_khz.max(1)
    }

    /// Takes the rest of a state; memory is already as it was then.
    pub(crate) fn take_state(&mut self, machine: &state::Machine) -> Result<(), CheckpointError> {
        let mut board = Board::new(settings(&self.config, machine.memory_bytes));
        board.load(machine);
        let host = self.backend.now();
        for (saved, processor) in machine.vcpus.iter().zip(&mut self.processors) {
            let resumed = resume_vcpu(processor, saved, host);
            resumed.map_err(|error| CheckpointError::Torn(format!("the vCPU's clock: {error:?}")))?;
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
pub(crate) fn settle<V: Vcpu>(processor: &mut Processor<V>) -> Result<(), CheckpointError> {
    let refused =
        |error| CheckpointError::Unavailable(format!("the core refuses the vCPU's state: {error:?}"));
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
