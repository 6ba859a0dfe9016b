// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scheduling: priorities, turns, moving, stopping.

use rt::{Error, syscall};

use crate::child::{Spawn, cell, count_cell, done, set_cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Counts in cell `index` for ever.
pub extern "C" fn count(index: u64, _: u64) -> ! {
    loop {
        count_cell(index as usize);
    }
}

/// Puts its argument behind what cell 0 holds, as a decimal digit.
extern "C" fn append(digit: u64, _: u64) -> ! {
    set_cell(0, cell(0) * 10 + digit);
    done()
}

/// Counts in cell `index` and yields each time.
extern "C" fn count_and_yield(index: u64, _: u64) -> ! {
    loop {
        count_cell(index as usize);
        syscall::yield_now();
    }
}

/// The most important thread runs first.
pub fn priority(context: &mut Context) -> Outcome {
    for (digit, priority) in [(1, 20), (2, 60), (3, 40)] {
        Spawn::new(append, digit, 0).priority(priority).start(context)?;
    }
    equal(cell(0), 0, "threads that ran before a more important one waited")?;
    Spawn::new(append, 4, 0).priority(150).start(context)?;
    equal(cell(0), 4, "a more important thread runs at once")?;
    context.sleep(20)?;
    equal(cell(0), 4231, "the order")
}

/// Threads of one priority take turns; one of lower priority gets none.
pub fn turns(context: &mut Context) -> Outcome {
    for index in 0..3 {
        Spawn::new(count, index, 0).priority(50).start(context)?;
    }
    Spawn::new(count, 3, 0).priority(49).start(context)?;
    context.sleep(200)?;
    let turns = [cell(0), cell(1), cell(2)];
    let (least, most) = (turns.iter().min().copied(), turns.iter().max().copied());
    ensure!(least > Some(0), "somebody never ran: {turns:?}");
    ensure!(least.map(|least| least * 20) > most, "far from equal: {turns:?}");
    equal(cell(3), 0, "turns of the less important thread")
}

/// Yielding gives the CPU to another thread of the same priority.
pub fn yielding(context: &mut Context) -> Outcome {
    Spawn::new(count_and_yield, 0, 0).priority(50).start(context)?;
    Spawn::new(count_and_yield, 1, 0).priority(50).start(context)?;
    context.sleep(50)?;
    let (first, second) = (cell(0), cell(1));
    ensure!(first > 10 && first.abs_diff(second) * 10 < first + second, "{first} and {second} turns");
    Ok(())
}

/// A thread runs where it is put, and goes on there; also while it runs.
pub fn move_thread(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let thread = Spawn::new(count, 0, 0).cpu(1).start(context)?;
    context.sleep(20)?;
    ensure!(cell(0) > 0, "it does not run on the other CPU");
    for round in 0..50 {
        // Here it is less important than a thread that never waits.
        thread.set_cpu(context.cpu(round % 2)).tried("move")?;
        until_more(context, &alloc::format!("round {round}: it does not run after its move"))?;
    }
    thread.suspend().tried("suspend")?;
    thread.set_cpu(context.cpu(0)).tried("move a stopped thread")?;
    let before = cell(0);
    context.sleep(5)?;
    equal(cell(0), before, "turns of a stopped thread")?;
    thread.start().tried("start again")?;
    until_more(context, "it does not run after its start")
}

/// Waits until cell 0 counts on: the emulator's other CPU may pause for a while.
fn until_more(context: &mut Context, reason: &str) -> Outcome {
    let before = cell(0);
    for _ in 0..1000 {
        context.sleep(1)?;
        if cell(0) > before {
            return Ok(());
        }
    }
    Err(reason.into())
}

/// A thread is stopped wherever it is, and goes on where it was.
pub fn suspend(context: &mut Context) -> Outcome {
    let cpus = context.boot.cpu_count.min(2);
    for cpu in 0..cpus {
        let index = cpu + 4;
        let thread = Spawn::new(count, index, 0).priority(50).cpu(cpu).start(context)?;
        context.sleep(20)?;
        thread.suspend().tried("suspend")?;
        let before = cell(index as usize);
        ensure!(before > 0, "it did not run on CPU {cpu}");
        context.sleep(20)?;
        equal(cell(index as usize), before, "turns while stopped")?;
        thread.start().tried("start")?;
        context.sleep(30)?;
        ensure!(cpu == 1 || cell(index as usize) > before, "it does not go on");
        refuses(
            thread.write_registers(rt::thread::Start::default()),
            Error::Busy,
            "registers of a running thread",
        )?;
        context.node.delete(thread.cptr()).tried("delete a running thread")?;
    }
    Ok(())
}

/// An incomplete thread does not start; kernel addresses are refused.
pub fn configure(context: &mut Context) -> Outcome {
    let thread = rt::Cap::<rt::cap::Thread>::new(context.make(abi::object::ObjectType::Thread, 12)?);
    refuses(thread.start(), Error::NotConfigured, "starting a bare thread")?;
    let start = rt::thread::Start { rip: 0xffff_8000_0000_0000, ..Default::default() };
    refuses(thread.write_registers(start), Error::InvalidArgument, "a kernel address to start at")?;
    let start = rt::thread::Start { fs_base: 1 << 63, ..Default::default() };
    refuses(thread.write_registers(start), Error::InvalidArgument, "a base that is no address")?;
    refuses(thread.set_cpu(rt::Cap::new(context.node.cptr())), Error::InvalidCapability, "a CPU that is none")
}
