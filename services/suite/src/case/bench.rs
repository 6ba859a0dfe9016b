// SPDX-License-Identifier: MIT OR Apache-2.0
//! Costs.

use abi::boot::{counter, slot};
use abi::rights::Rights;
use abi::vcpu::Exit;
use alloc::vec::Vec;
use rt::cap::{Cap, Interrupt, Machine, PortRange};
use rt::device::Line;
use rt::serial::COM1;
use rt::{syscall, time};

use crate::child::{ECHO, in_own_space};
use crate::context::Context;
use crate::guest::{ENTRY, Guest};
use crate::measure::{measure, report};
use crate::outcome::{Outcome, Tried};

/// Two system calls of the fast path and two changes of the space.
pub fn ipc(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    in_own_space(context, ECHO, (endpoint.cptr(), reply.cptr()), 0)?;
    measure("ipc_round_trip", || syscall::call4(endpoint.cptr(), 1, [1, 2, 3, 4]).map(|_| ()).tried("call"))
}

/// A call as services make it: with a deadline that does not pass.
pub fn service_call(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    in_own_space(context, ECHO, (endpoint.cptr(), reply.cptr()), 0)?;
    let patience = time::tsc_khz() * 2000;
    measure("service_call_round_trip", || {
        let message = abi::message::Info::new(1, 4);
        syscall::call(endpoint.cptr(), message, [1, 2, 3, 4], time::now() + patience)
            .map(|_| ())
            .tried("call")
    })
}

/// The same with the server on another CPU.
pub fn ipc_across(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    in_own_space(context, ECHO, (endpoint.cptr(), reply.cptr()), 1)?;
    measure("ipc_across_round_trip", || {
        syscall::call4(endpoint.cptr(), 1, [1, 2, 3, 4]).map(|_| ()).tried("call")
    })
}

/// A system call that does not exist: entry, dispatch, exit.
pub fn null(_: &mut Context) -> Outcome {
    measure("syscall_null", || {
        let _ = syscall::raw(99, 0, 0, [0; 4], 0, 0);
        Ok(())
    })
}

/// From the guest's CPUID to the VMM and back into the guest.
pub fn exit(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    // cpuid; jmp back
    let mut guest = Guest::new(context, &[(ENTRY, &[0x0f, 0xa2, 0xeb, 0xfc])])?;
    guest.cpu.page_mut().deadline = u64::MAX;
    measure("exit_round_trip_vmm", || {
        let exit = guest.cpu.run().tried("run")?;
        ensure!(exit == Exit::Cpuid, "exit {exit:?}");
        guest.skip(2);
        Ok(())
    })
}

/// From a device's interrupt to the thread that waits for it.
pub fn interrupt(context: &mut Context) -> Outcome {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let line: Cap<Interrupt> = Cap::new(context.slot());
    machine.interrupt(4, Line::Edge, context.node, line.cptr()).tried("make the line")?;
    let bell = context.notification()?;
    let badged = context.derive(bell, Rights::WRITE, 1)?;
    line.bind(badged).tried("bind")?;
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    ports.out8(COM1 + 4, 8).tried("modem control")?;
    let mut ticks = Vec::new();
    for _ in 0..500 {
        let begun = time::now();
        ports.out8(COM1 + 1, 2).tried("enable")?;
        bell.wait(time::after_ms(1000)).tried("wait")?;
        ticks.push(time::now().wrapping_sub(begun));
        ports.in8(COM1 + 2).tried("read the cause")?;
        ports.out8(COM1 + 1, 0).tried("disable")?;
        line.ack().tried("acknowledge")?;
    }
    report("interrupt_to_thread", ticks);
    Ok(())
}

/// From the entry of the core to its first user instruction.
pub fn boot(_: &mut Context) -> Outcome {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let ticks = machine.counter(counter::BOOT_TICKS).tried("counter")?;
    report("boot_to_root", alloc::vec![ticks]);
    Ok(())
}
