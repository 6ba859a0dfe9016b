// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and their saved records.
//!
//! Owns the translation between run-time types and [`state`], which are kept apart so that neither binds the other. The records have been
//! checked before they arrive here; what a device cannot hold all the same, it cuts to what it can.

use crate::device::board::Board;
use crate::device::bus::SERIAL_PIN;
use crate::device::ioapic::IoApic;
use crate::device::lapic::{self, LocalApic, Vectors};
use crate::device::power::Power;
use crate::device::uart::{self, Uart};
use crate::platform::pvclock::Base;
use abi::guest::SERIAL_PORT;
use state::Bytes;

const NANOSECONDS: u64 = 1_000_000_000;

/// Puts all devices into a machine's record, as of guest TSC `now`. What was there is gone, but its room is used again.
pub fn save(board: &Board, machine: &mut state::Machine, now: u64) {
    machine.apics.clear();
    machine.apics.extend(board.apics.iter().map(|apic| save_apic(&apic.registers())));
    let ioapic = &board.ioapic;
    machine.ioapics.clear();
    machine.ioapics.push(state::IoApic {
        id: (ioapic.id >> 24) as u8 & 0xf,
        select: ioapic.select,
        entries: ioapic.entries,
        levels: ioapic.lines,
        ..state::IoApic::default()
    });
    machine.uarts.resize_with(1, state::Uart16550::default);
    for uart in &mut machine.uarts {
        let mut unread = core::mem::take(&mut uart.unread);
        unread.0.clear();
        unread.0.extend(board.uart.unread());
        *uart = save_uart(&board.uart, unread);
    }
    let mut memory = core::mem::take(&mut machine.rtc.memory);
    memory.0.clear();
    memory.0.extend_from_slice(&board.rtc.memory);
    machine.rtc = state::Rtc {
        index: board.rtc.index,
        memory,
        seconds: (board.clock.wall(now) / NANOSECONDS).wrapping_add_signed(board.rtc.offset),
        tsc: now,
        ..state::Rtc::default()
    };
    save_clock(board, &mut machine.clock);
    machine.power = state::PowerControl {
        control: board.power.sleep_control,
        status: 0,
        ..state::PowerControl::default()
    };
}

fn save_clock(board: &Board, clock: &mut state::PvClock) {
    let base = board.clock.base();
    let ((wall_clock, wall_version), from) = board.clock.pages();
    let (system_time, version) = from.first().copied().unwrap_or_default();
    let page = |&(system_time, version): &(u64, u32)| state::ClockPage {
        system_time,
        version,
        ..state::ClockPage::default()
    };
    let mut pages = core::mem::take(&mut clock.pages);
    pages.clear();
    pages.extend(from.iter().skip(1).map(page));
    *clock = state::PvClock {
        system_time,
        wall_clock,
        nanoseconds: base.nanoseconds,
        tsc: base.tsc,
        epoch_seconds: board.clock.wall_base() / NANOSECONDS,
        version,
        pages,
        wall_version,
        ..state::PvClock::default()
    };
}

/// Sets all devices of a board, as after power-on or as loaded before, to what a machine's record says.
pub fn load(board: &mut Board, machine: &state::Machine) {
    let rate = board.rate();
    for (apic, saved) in board.apics.iter_mut().zip(&machine.apics) {
        *apic = LocalApic::from_registers(load_apic(saved), rate);
    }
    if let Some(saved) = machine.ioapics.first() {
        let id = u32::from(saved.id) << 24;
        board.ioapic = IoApic::from_parts(id, saved.select, saved.entries, saved.levels);
    }
    if let Some(saved) = machine.uarts.first() {
        board.uart = load_uart(saved);
    }
    let clock = &machine.clock;
    let base = Base { tsc: clock.tsc, nanoseconds: clock.nanoseconds };
    board.clock.set_base(base, clock.epoch_seconds.saturating_mul(NANOSECONDS));
    let first = (clock.system_time, clock.version);
    let others = clock.pages.iter().map(|page| (page.system_time, page.version));
    board.clock.set_pages((clock.wall_clock, clock.wall_version), core::iter::once(first).chain(others));
    board.rtc.index = machine.rtc.index & 0x7f;
    for (place, &byte) in board.rtc.memory.iter_mut().zip(&machine.rtc.memory.0) {
        *place = byte;
    }
    let wall = board.clock.wall(machine.rtc.tsc) / NANOSECONDS;
    board.rtc.offset = machine.rtc.seconds.wrapping_sub(wall) as i64;
    board.power = Power { sleep_control: machine.power.control };
}

fn save_apic(from: &lapic::Registers) -> state::LocalApic {
    let [lvt_timer, lvt_thermal, lvt_performance, lvt_lint0, lvt_lint1, lvt_error] = from.entries;
    state::LocalApic {
        id: from.id,
        base: from.base,
        task_priority: from.task_priority,
        logical_destination: from.logical_destination,
        destination_format: from.destination_format,
        spurious: from.spurious,
        in_service: from.in_service.0,
        trigger_mode: from.trigger_mode.0,
        requested: from.requested.0,
        error_status: from.errors,
        pending_errors: from.errors_pending,
        command: from.command,
        lvt_cmci: 0,
        lvt_timer,
        lvt_thermal,
        lvt_performance,
        lvt_lint0,
        lvt_lint1,
        lvt_error,
        timer_divide: from.timer.divide,
        timer_initial: from.timer.initial,
        timer_start: from.timer.start,
        timer_deadline: from.timer.deadline,
        ..state::LocalApic::default()
    }
}

fn load_apic(from: &state::LocalApic) -> lapic::Registers {
    lapic::Registers {
        id: from.id,
        base: from.base,
        task_priority: from.task_priority,
        logical_destination: from.logical_destination,
        destination_format: from.destination_format,
        spurious: from.spurious,
        errors: from.error_status,
        errors_pending: from.pending_errors,
        command: from.command,
        entries: [
            from.lvt_timer,
            from.lvt_thermal,
            from.lvt_performance,
            from.lvt_lint0,
            from.lvt_lint1,
            from.lvt_error,
        ],
        in_service: Vectors(from.in_service),
        trigger_mode: Vectors(from.trigger_mode),
        requested: Vectors(from.requested),
        timer: lapic::timer::Counts {
            divide: from.timer_divide,
            initial: from.timer_initial,
            start: from.timer_start,
            deadline: from.timer_deadline,
        },
    }
}

fn save_uart(uart: &Uart, unread: Bytes) -> state::Uart16550 {
    let from = uart.registers();
    state::Uart16550 {
        port: SERIAL_PORT,
        line: SERIAL_PIN as u8,
        interrupt_enable: from.interrupt_enable,
        fifo_control: from.fifo_control,
        line_control: from.line_control,
        modem_control: from.modem_control,
        line_errors: from.line_errors,
        modem_changes: from.modem_changes,
        scratch: from.scratch,
        divisor: from.divisor,
        transmit_pending: from.transmit_pending,
        unread,
        ..state::Uart16550::default()
    }
}

fn load_uart(from: &state::Uart16550) -> Uart {
    let registers = uart::Registers {
        interrupt_enable: from.interrupt_enable,
        fifo_control: from.fifo_control,
        line_control: from.line_control,
        modem_control: from.modem_control,
        line_errors: from.line_errors,
        modem_changes: from.modem_changes,
        scratch: from.scratch,
        divisor: from.divisor,
        transmit_pending: from.transmit_pending,
    };
    Uart::from_parts(registers, &from.unread.0)
}

#[cfg(test)]
mod tests {
    use super::{load, save};
    use crate::device::board::{Board, Settings};
    use crate::platform::pvclock::{SYSTEM_TIME, WALL_CLOCK};

    const SETTINGS: Settings =
        Settings { processors: 2, tsc_khz: 1_000_000, wall_base: 1_700_000_000_000_000_000, memory: 1 << 20 };

    fn saved(board: &Board, now: u64) -> state::Machine {
        let mut machine = state::Machine::default();
        save(board, &mut machine, now);
        machine
    }

    #[test]
    fn devices_that_were_saved_and_loaded_are_saved_alike() {
        let mut board = Board::new(SETTINGS);
        board.write_port(0x3fb, 1, 3, 5);
        board.write_port(0x3f9, 1, 5, 5);
        board.send_serial(b"abc");
        board.write_port(0x70, 1, 0x0b, 5);
        board.write_memory(0, 0xfee0_00f0, 4, 0x1ff, 5);
        board.write_memory(0, 0xfee0_0320, 4, 0x2_00ec, 5);
        board.write_memory(0, 0xfee0_0380, 4, 1000, 5);
        board.write_memory(0, 0xfec0_0000, 4, 0x18, 5);
        board.write_memory(0, 0xfec0_0010, 4, 0x24, 5);
        board.write_memory(1, 0xfee0_00f0, 4, 0x1ff, 5);
        board.clock.write_msr(0, SYSTEM_TIME, 0x1001, 5);
        board.clock.write_msr(1, SYSTEM_TIME, 0x1041, 5);
        board.clock.write_msr(1, WALL_CLOCK, 0x2000, 5);
        let first = saved(&board, 1000);
        let mut second = Board::new(SETTINGS);
        load(&mut second, &first);
        assert_eq!(saved(&second, 1000), first);
        assert_eq!(second.next_deadline(0), board.next_deadline(0));
        assert_eq!(second.clock, board.clock);
        board.write_port(0x70, 1, 0x0c, 6);
        board.send_serial(b"d");
        let later = saved(&board, 2000);
        load(&mut second, &later);
        assert_eq!(saved(&second, 2000), later);
    }
}
