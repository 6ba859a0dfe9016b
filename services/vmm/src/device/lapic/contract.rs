// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local APICs of all vCPUs as a device: each vCPU's window, the timers, the saved form.

use super::timer::{Mode as TimerMode, Timer};
use super::{LocalApic, Mode, Registers, Vectors, base, entry};
use crate::device::contract::{Access, Device, Settings};
use crate::device::time::{Clock, Rate};
use alloc::vec::Vec;
use state::Unknown;

impl Device for Vec<LocalApic> {
    fn new(settings: &Settings) -> Self {
        let rate = Rate::from_khz(settings.tsc_khz);
        (0..settings.processors).map(|id| LocalApic::new(id, id == 0, rate)).collect()
    }

    fn window(&self, cpu: usize) -> Option<u64> {
        self.get(cpu).filter(|apic| apic.mode() == Mode::XApic).map(LocalApic::page)
    }

    fn read(&mut self, offset: u32, access: &mut Access) -> Option<u32> {
        // Each register is the first word of 16 bytes; the other words read as zero.
        if offset & 0xc != 0 {
            return Some(0);
        }
        Some(self.get_mut(access.cpu)?.read_memory(offset, access.now))
    }

    fn write(&mut self, offset: u32, value: u32, access: &mut Access) -> bool {
        let Some(apic) = self.get_mut(access.cpu).filter(|_| offset & 0xf == 0) else { return false };
        access.action = apic.write_memory(offset, value, access.now);
        true
    }

    fn deadline(&self) -> Option<u64> {
        self.iter().filter_map(LocalApic::next_deadline).min()
    }

    fn advance(&mut self, now: u64) {
        for apic in self {
            apic.advance(now);
        }
    }

    fn save(&self, machine: &mut state::Machine, _: u64, _: &Clock) {
        machine.apics.clear();
        machine.apics.extend(self.iter().map(LocalApic::saved));
    }

    fn load(&mut self, machine: &state::Machine, clock: &Clock) {
        for (apic, saved) in self.iter_mut().zip(&machine.apics) {
            *apic = LocalApic::loaded(saved, clock.rate());
        }
    }
}

impl LocalApic {
    pub(super) fn saved(&self) -> state::LocalApic {
        // What was seen of CR8 follows from the task priority; the rate is the machine's.
        let Self { registers, timer, rate: _, seen_cr8: _ } = self;
        let Registers {
            id,
            base,
            task_priority,
            logical_destination,
            destination_format,
            spurious,
            errors,
            errors_pending,
            command,
            entries: [lvt_timer, lvt_thermal, lvt_performance, lvt_lint0, lvt_lint1, lvt_error],
            in_service: Vectors(in_service),
            trigger_mode: Vectors(trigger_mode),
            requested: Vectors(requested),
        } = *registers;
        // The mode follows from the entry.
        let Timer { rate: _, mode: _, divide, initial, start, deadline } = *timer;
        state::LocalApic {
            id,
            base,
            task_priority,
            logical_destination,
            destination_format,
            spurious,
            in_service,
            trigger_mode,
            requested,
            error_status: errors,
            pending_errors: errors_pending,
            command,
            // This local APIC has no such entry.
            lvt_cmci: 0,
            lvt_timer,
            lvt_thermal,
            lvt_performance,
            lvt_lint0,
            lvt_lint1,
            lvt_error,
            timer_divide: divide,
            timer_initial: initial,
            timer_start: start,
            timer_deadline: deadline.unwrap_or(0),
            // An NMI waits at the vCPU, which saves it.
            nmi_pending: false,
            unknown: Unknown::default(),
        }
    }

    pub(super) fn loaded(saved: &state::LocalApic, rate: Rate) -> Self {
        let state::LocalApic {
            id,
            base: saved_base,
            task_priority,
            logical_destination,
            destination_format,
            spurious,
            mut in_service,
            trigger_mode,
            mut requested,
            error_status,
            pending_errors,
            command,
            lvt_cmci: _,
            lvt_timer,
            lvt_thermal,
            lvt_performance,
            lvt_lint0,
            lvt_lint1,
            lvt_error,
            timer_divide,
            timer_initial,
            timer_start,
            timer_deadline,
            nmi_pending: _,
            unknown: _,
        } = *saved;
        for vectors in [&mut in_service, &mut requested] {
            vectors[0] &= 0xffff_0000;
        }
        let lvt_timer = TimerMode::known(lvt_timer);
        let entries = [lvt_timer, lvt_thermal, lvt_performance, lvt_lint0, lvt_lint1, lvt_error];
        let registers = Registers {
            id,
            base: possible(saved_base),
            task_priority,
            logical_destination,
            destination_format,
            spurious,
            errors: error_status,
            errors_pending: pending_errors,
            command,
            entries,
            in_service: Vectors(in_service),
            trigger_mode: Vectors(trigger_mode),
            requested: Vectors(requested),
        };
        let timer = Timer {
            rate,
            mode: TimerMode::from_entry(entries[entry::TIMER]),
            divide: timer_divide & 0xb,
            initial: timer_initial,
            start: timer_start,
            deadline: (timer_deadline != 0).then_some(timer_deadline),
        };
        Self { registers, timer, rate, seen_cr8: task_priority >> 4 }
    }
}

/// Returns a base MSR without what none can hold.
fn possible(saved: u64) -> u64 {
    let base = saved & !base::RESERVED;
    if base & base::ENABLED == 0 { base & !base::X2APIC } else { base }
}
