// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries out what devices ask of the machine.

use super::{Activity, Backend, Machine};
use crate::boot;
use crate::device::contract::Effect;
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Carries out what the devices have asked for since the last time.
    pub(super) fn carry_out_effects(&mut self) {
        if !self.board.has_effects() {
            return;
        }
        for effect in self.board.take_effects() {
            match effect {
                Effect::PowerOff => self.end("powered off by the guest"),
                Effect::Reset => {
                    self.backend.log(format_args!("reset by the guest"));
                    self.start();
                    return;
                }
                Effect::Nmi(cpu) => {
                    if let Some(processor) = self.processors.get_mut(cpu) {
                        processor.nmi = true;
                    }
                }
                Effect::Init(cpu) => {
                    if let Some(processor) = self.processors.get_mut(cpu) {
                        processor.activity = Activity::WaitingForStartup;
                        processor.nmi = false;
                    }
                }
                Effect::Startup(cpu, page) => self.start_processor(cpu, page),
                Effect::Write(write) => {
                    // The clock has checked the range; a refused write costs the guest its clock
                    // page, no more.
                    let _ = self.memory.write(write.address, &write.bytes);
                }
            }
        }
    }

    /// A vCPU that waits for it starts in real mode.
    fn start_processor(&mut self, cpu: usize, page: u8) {
        if let Some(processor) = self.processors.get_mut(cpu)
            && processor.activity == Activity::WaitingForStartup
        {
            boot::enter_real_mode(processor.vcpu.page(), page);
            processor.activity = Activity::Running;
        }
    }
}
