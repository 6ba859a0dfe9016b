// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults of threads: who hears of them, and going on afterwards.

use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use rt::cap::{Cap, Endpoint, Reply, Thread};
use rt::syscall::Returned;
use rt::{syscall, time};

use crate::child::{Spawn, cell, done, set_cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal};

/// An address where nothing is.
const NOWHERE: u64 = 0x6000_0000_0000;

/// Jumps to an address.
extern "C" fn stop_itself(_: u64, _: u64) -> ! {
    done()
}

fn heard(endpoint: Cap<Endpoint>, reply: Cap<Reply>) -> Outcome<Returned> {
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("hear of it")?;
    ensure!(got.info.is_fault(), "a message that is no fault: {:?}", got.info);
    Ok(got)
}

fn watched(context: &mut Context) -> Outcome<(Cap<Endpoint>, Cap<Endpoint>, Cap<Reply>)> {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let badged = context.derive(endpoint, Rights::WRITE.or(Rights::GRANT), 77)?;
    Ok((endpoint, badged, reply))
}

fn state(thread: Cap<Thread>) -> Outcome<u64> {
    thread.read_registers().map(|registers| registers.state).tried("read registers")
}

/// An invalid instruction is reported with vector and place, and a refusal leaves the thread
/// stopped.
pub fn exception(context: &mut Context) -> Outcome {
    let (endpoint, badged, reply) = watched(context)?;
    let thread = Spawn::new(stop_itself, 0, 0).faults(badged).start(context)?;
    let got = heard(endpoint, reply)?;
    equal((got.badge, got.info.label()), (77, Fault::Exception as u32), "badge and kind")?;
    equal(got.words[0], 6, "the vector")?;
    syscall::reply(reply.cptr(), Info::new(1, 0), [0; 4]).tried("reply")?;
    equal(state(thread)?, 0, "the thread's state")
}

/// A page fault is reported with address and access; after the page is mapped the thread goes on.
pub fn page(context: &mut Context) -> Outcome {
    let (endpoint, badged, reply) = watched(context)?;
    // Its first push faults: the stack is where nothing is.
    let spawn = Spawn::new(after_fault, 0, 0).faults(badged);
    let thread = spawn.make(context)?;
    let mut start = spawn.registers();
    start.rsp = NOWHERE + 0x1000 - 8;
    thread.write_registers(start).tried("set registers")?;
    thread.start().tried("start")?;
    let got = heard(endpoint, reply)?;
    equal((got.badge, got.info.label()), (77, Fault::Page as u32), "badge and kind")?;
    equal(got.words[0] & !0xfff, NOWHERE, "the address")?;
    equal(got.words[1] & 7, 6, "the access: a write by a user to nothing")?;
    let frame = context.frame(12)?;
    frame.map(context.space, NOWHERE, Rights::READ.or(Rights::WRITE)).tried("map")?;
    syscall::reply(reply.cptr(), Info::new(0, 0), [0; 4]).tried("reply")?;
    context.sleep(20)?;
    equal(cell(3), 5, "what the thread did afterwards")
}

extern "C" fn after_fault(_: u64, _: u64) -> ! {
    // The call pushes its return address, where the fault happens.
    core::hint::black_box(set_cell as fn(usize, u64))(3, 5);
    done()
}

/// A fault that nobody hears of stops the thread, and nothing else.
pub fn unheard(context: &mut Context) -> Outcome {
    let thread = Spawn::new(stop_itself, 0, 0).start(context)?;
    context.sleep(20)?;
    equal(state(thread)?, 0, "the thread's state")
}

/// The handler hears of faults on another CPU.
pub fn across(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (endpoint, badged, reply) = watched(context)?;
    for _ in 0..20 {
        let thread = Spawn::new(stop_itself, 0, 0).faults(badged).cpu(1).start(context)?;
        let got = heard(endpoint, reply)?;
        equal(got.words[0], 6, "the vector")?;
        syscall::reply(reply.cptr(), Info::new(1, 0), [0; 4]).tried("reply")?;
        equal(state(thread)?, 0, "the thread's state")?;
    }
    Ok(())
}
