// SPDX-License-Identifier: MIT OR Apache-2.0
//! One step of a VM: a vCPU runs until its next exit, which is answered.
//!
//! Owns the order of what goes before and after a run, and what is logged once the guest no longer
//! stands still for it. What a program in the guest asks for comes out as [`Next::Call`].

use super::{Activity, Backend, Machine, Next, Pause, State};
use crate::exit::{self, Crash, Outcome, Site};
use crate::memory::GuestMemory;
use crate::vcpu::{Vcpu, flag};
use alloc::string::ToString;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Lets a vCPU run until its next exit, and answers it.
    pub fn step(&mut self) -> Next {
        if self.state != State::Running || self.handover.is_away() {
            self.finish_saving();
            return Next::Wait(u64::MAX);
        }
        let host = self.backend.now();
        if host >= self.saving.due() {
            self.finish_saving();
        }
        let now = self.guest_time(host);
        self.board.advance(now);
        let Some(cpu) = self.choose(host) else {
            self.finish_saving();
            self.report_handover();
            return Next::Wait(self.host_deadline(host, now));
        };
        if let Err(error) = self.enter(cpu, host, now) {
            self.fail(&Crash::Refused(error).to_string());
            return Next::Step;
        }
        self.exits += 1;
        let outcome = self.answer(cpu);
        if self.board.take_call() {
            self.end_turn();
        }
        self.report_pause();
        self.report_handover();
        let next = self.conclude(cpu, outcome);
        self.carry_out_effects();
        self.drain_console();
        next
    }

    fn answer(&mut self, cpu: usize) -> Outcome {
        let vcpu = &mut self.processors[cpu].vcpu;
        let cr8 = vcpu.page().cr8 as u8;
        if let Some(apic) = self.board.devices.apics.get_mut(cpu) {
            apic.observe_cr8(cr8);
        }
        exit::handle(&mut Site {
            memory: &mut self.memory,
            vcpu,
            cpu,
            board: &mut self.board,
            cpuid: self.cpuid,
            token: &self.config.token,
        })
    }

    fn conclude(&mut self, cpu: usize, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Resume => {}
            Outcome::Notification => return Next::Serve,
            Outcome::Halt => self.halt(cpu),
            Outcome::Call(call) => return Next::Call(cpu, call),
            Outcome::Undefined(code) => {
                let bytes = code.bytes();
                self.backend.log(format_args!("instruction {bytes:02x?} on device memory is not known: #UD"));
            }
            Outcome::Crash(crash) => self.fail(&crash.to_string()),
        }
        Next::Step
    }

    /// A vCPU that halts with interrupts off, alone, never comes back.
    fn halt(&mut self, cpu: usize) {
        let processor = &mut self.processors[cpu];
        processor.activity = Activity::Halted;
        let deaf = processor.vcpu.page().rflags & flag::INTERRUPT == 0 && !processor.nmi;
        if deaf && self.processors.len() == 1 {
            self.end("halted with interrupts off");
        }
    }

    fn report_pause(&mut self) {
        if let Some(Pause { id, .. }) = self.pause.take() {
            let ticks = self.last_pause;
            self.backend.log(format_args!("checkpoint {id} created, pause {ticks} ticks"));
        }
    }

    fn drain_console(&mut self) {
        if !self.board.devices.uart.has_output() {
            return;
        }
        for byte in self.board.devices.uart.take_output() {
            if let Some(line) = self.console.put(byte) {
                self.backend.log(format_args!("| {line}"));
            }
        }
    }

    /// Logs what the last handover took, once all vCPUs are here again.
    pub(crate) fn report_handover(&mut self) {
        if self.handover.unreported == 0 || self.is_moving() {
            return;
        }
        let reported = core::mem::take(&mut self.handover.unreported);
        for (cpu, ticks) in self.handover.blackouts.iter().enumerate() {
            if reported >> cpu & 1 != 0 {
                self.backend.log(format_args!("vCPU {cpu} taken over, blackout {ticks} ticks"));
            }
        }
    }
}
