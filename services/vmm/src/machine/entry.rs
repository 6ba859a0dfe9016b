// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes before an entry into the guest.
//!
//! Owns the choice of the event to inject (one cut short comes first, then an NMI, then the local
//! APIC's vector), the request for an exit as soon as an interrupt can be taken, and the next
//! deadline.

use super::{Backend, Machine};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use abi::error::Error;
use abi::vcpu::{event, group};

const NMI_VECTOR: u64 = 2;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Runs a vCPU until its next exit. `host` and `now` are the TSC of both sides.
    pub(super) fn enter(&mut self, cpu: usize, host: u64, now: u64) -> Result<(), Error> {
        self.update_task_priority(cpu)?;
        self.arm(cpu);
        let mut deadline = self.host_deadline(host, now).min(host.saturating_add(self.longest_run));
        deadline = deadline.min(self.saving.due());
        if self.processors.len() > 1 {
            deadline = deadline.min(self.turn.end());
        }
        if let Some(since) = self.processors[cpu].since.take() {
            let now = self.backend.now();
            self.handover.record(cpu, now.wrapping_sub(since));
        }
        let vcpu = &mut self.processors[cpu].vcpu;
        vcpu.page().deadline = deadline;
        if let Some(pause) = self.pause {
            self.last_pause = self.backend.now().wrapping_sub(pause.since);
        }
        vcpu.run()
    }

    /// The host TSC at which the first timer is due; never, where there is none.
    pub(super) fn host_deadline(&self, host: u64, now: u64) -> u64 {
        // One before "for ever": a wait without end is asked for in another way.
        self.board
            .next_deadline()
            .map_or(u64::MAX, |due| host.saturating_add(due.saturating_sub(now)).min(u64::MAX - 1))
    }

    /// Chooses the event to inject.
    fn arm(&mut self, cpu: usize) {
        let processor = &mut self.processors[cpu];
        let page = processor.vcpu.page();
        let open = page.interruptible != 0;
        page.want_window = 0;
        if page.inject & event::VALID == 0 {
            if page.pending_event & event::VALID != 0 {
                page.inject = page.pending_event;
            } else if processor.nmi && page.interrupt_shadow == 0 {
                processor.nmi = false;
                page.inject = NMI_VECTOR | event::NMI | event::VALID;
            } else if open && let Some(vector) = self.board.accept(cpu) {
                page.inject = u64::from(vector) | event::INTERRUPT | event::VALID;
            }
        }
        page.pending_event = 0;
        if self.board.pending(cpu).is_some() {
            page.want_window = 1;
        }
    }

    /// Lets the vCPU's CR8 follow the local APIC's task priority.
    fn update_task_priority(&mut self, cpu: usize) -> Result<(), Error> {
        let Some(apic) = self.board.devices.apics.get_mut(cpu) else { return Ok(()) };
        let vcpu = &mut self.processors[cpu].vcpu;
        let cr8 = apic.cr8();
        if u64::from(cr8) == vcpu.page().cr8 {
            return Ok(());
        }
        if vcpu.page().dirty & group::SYSTEM == 0 {
            vcpu.export(group::SYSTEM)?;
        }
        let page = vcpu.page();
        page.cr8 = u64::from(cr8);
        page.dirty |= group::SYSTEM;
        apic.observe_cr8(cr8);
        Ok(())
    }
}
