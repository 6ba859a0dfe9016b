// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ports, interrupt lines, CPUs, the machine.

use abi::boot::slot;
use abi::invocation::Invocation;
use abi::rights::Rights;
use rt::cap::{Cap, Interrupt, Machine, PortRange};
use rt::device::Line;
use rt::serial::COM1;
use rt::{Error, syscall, time};

use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Interrupt line of the first serial port.
const COM1_LINE: u32 = 4;

/// A narrowed range reaches its ports and no others.
pub fn ports(context: &mut Context) -> Outcome {
    let all: Cap<PortRange> = Cap::new(slot::PORTS);
    let narrow: Cap<PortRange> = Cap::new(context.slot());
    all.narrow(COM1, COM1 + 7, context.node, narrow.cptr()).tried("narrow")?;
    let scratch_register = COM1 + 7;
    for value in [0x5a, 0xa5] {
        narrow.out8(scratch_register, value).tried("write")?;
        equal(narrow.in8(scratch_register).tried("read")?, value, "the scratch register")?;
    }
    refuses(narrow.in8(COM1 - 1), Error::OutOfRange, "a port before")?;
    refuses(narrow.in8(COM1 + 8), Error::OutOfRange, "a port behind")?;
    refuses(narrow.in16(COM1 + 7), Error::OutOfRange, "half a word behind")?;
    refuses(narrow.read(COM1, 3), Error::InvalidArgument, "three bytes")?;
    // The last of the bytes written to one port stays in it.
    narrow.out_bytes(scratch_register, &[1; 23]).tried("23 bytes")?;
    equal(narrow.in8(scratch_register).tried("read")?, 1, "after 23 bytes")?;
    let mut block = [2; 24];
    block[23] = 3;
    narrow.out_bytes(scratch_register, &block).tried("24 bytes")?;
    equal(narrow.in8(scratch_register).tried("read")?, 3, "after 24 bytes")?;
    refuses(narrow.out_bytes(scratch_register, &[]), Error::InvalidArgument, "no bytes")?;
    let many = [u64::from(scratch_register) | 25 << 16, 0, 0, 0];
    let label = Invocation::PortOutBytes as u32;
    refuses(syscall::call4(narrow.cptr(), label, many), Error::InvalidArgument, "25 bytes")?;
    refuses(narrow.out_bytes(COM1 + 8, &[0]), Error::OutOfRange, "bytes to a port behind")?;
    let slot = context.slot();
    let node = context.node;
    refuses(narrow.narrow(COM1, COM1 + 8, node, slot), Error::OutOfRange, "widening")?;
    refuses(narrow.narrow(COM1 + 2, COM1 + 1, node, slot), Error::OutOfRange, "a range that ends before")?;
    let reader = context.derive(narrow, Rights::READ, 0)?;
    refuses(reader.out8(scratch_register, 0), Error::MissingRights, "write without WRITE")?;
    refuses(reader.out_bytes(scratch_register, &[0]), Error::MissingRights, "bytes without WRITE")?;
    refuses(reader.narrow(COM1, COM1, node, slot), Error::MissingRights, "narrow without MANAGE")?;
    refuses(all.in16(u16::MAX), Error::OutOfRange, "beyond the last port")
}

/// A line reaches a thread, again after each acknowledgement.
pub fn interrupt(context: &mut Context) -> Outcome {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let line: Cap<Interrupt> = Cap::new(context.slot());
    machine.interrupt(COM1_LINE, Line::Edge, context.node, line.cptr()).tried("make the line")?;
    let again = context.slot();
    let twice = machine.interrupt(COM1_LINE, Line::Edge, context.node, again);
    refuses(twice, Error::Busy, "making it twice")?;
    let absurd = machine.interrupt(5000, Line::Edge, context.node, again);
    refuses(absurd, Error::OutOfRange, "a line that is none")?;
    let bell = context.notification()?;
    let badged = context.derive(bell, Rights::WRITE, 32)?;
    line.bind(badged).tried("bind")?;
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    // OUT2 lets the line out; the transmitter is empty, so enabling its interrupt raises it.
    ports.out8(COM1 + 4, 8).tried("modem control")?;
    for round in 0..5 {
        ports.out8(COM1 + 1, 2).tried("enable")?;
        let word = bell.wait(time::after_ms(1000));
        equal(word.tried("wait for the interrupt")?, 32, "the badge")?;
        ports.in8(COM1 + 2).tried("read the cause")?;
        ports.out8(COM1 + 1, 0).tried("disable")?;
        line.ack().tried("acknowledge")?;
        refuses(bell.wait(time::after_ms(2)), Error::TimedOut, &alloc::format!("quiet, round {round}"))?;
    }
    context.node.delete(line.cptr()).tried("delete the line")?;
    machine.interrupt(COM1_LINE, Line::Edge, context.node, line.cptr()).tried("make it again")
}

/// CPUs say who they are; counters count.
pub fn describe(context: &mut Context) -> Outcome {
    for index in 0..context.boot.cpu_count {
        let state = context.cpu(index).describe().tried("describe a CPU")?;
        equal((state.index, state.online), (index, true), "index and state")?;
        let id = context.boot.apic_ids.get(index as usize).copied().map(u64::from);
        equal(Some(state.apic_id), id, "the APIC id")?;
    }
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let ticks = machine.counter(abi::boot::counter::BOOT_TICKS).tried("counter")?;
    ensure!(ticks > 0, "no time passed while booting");
    refuses(machine.counter(9999), Error::InvalidArgument, "a counter that is none")?;
    let idle = context.cpu(0).describe().tried("describe")?.idle_ticks;
    context.sleep(50)?;
    let slept = context.cpu(0).describe().tried("describe")?.idle_ticks.wrapping_sub(idle);
    ensure!(slept / time::tsc_khz() >= 25, "idle for {} ms of 50", slept / time::tsc_khz());
    Ok(())
}
