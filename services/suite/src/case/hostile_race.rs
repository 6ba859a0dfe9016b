// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that stop, move, unbind and take apart what others are in the middle of.

use abi::object::ObjectType;
use abi::rights::Rights;
use abi::syscall::FOREVER;
use rt::cap::{CNode, Cap, Frame, Notification, Thread};
use rt::{Error, scratch, syscall, time};

use crate::child::{Spawn, cell, count_cell, done, set_cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Answers every flag of a notification with a signal of another.
extern "C" fn answer(notification: u64, back: u64) -> ! {
    while syscall::wait(notification, FOREVER).is_ok() {
        let _ = syscall::signal(back);
    }
    done()
}

/// Stops every CPU again and again.
extern "C" fn stop_for_ever(thread: u64, _: u64) -> ! {
    let thread: Cap<Thread> = Cap::new(thread);
    while thread.read_registers().is_ok() {}
    done()
}

/// A signal that is on its way to another CPU when the world is stopped arrives all the same.
pub fn signal_and_stop(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (there, back) = (context.notification()?, context.notification()?);
    Spawn::new(answer, there.cptr(), back.cptr()).cpu(1).start(context)?;
    // Below the thread that is signalled, somebody waits for the lock again and again, with
    // interrupts off.
    Spawn::new(stop_for_ever, context.thread.cptr(), 0).cpu(1).priority(50).start(context)?;
    for round in 0..60 {
        there.signal().tried("signal")?;
        // Stops every CPU.
        context.thread.read_registers().tried("stop the world")?;
        back.wait(time::after_ms(2000)).tried(&alloc::format!("round {round}: the answer"))?;
    }
    Ok(())
}

/// Waits for a notification for ever, and keeps what came of it in cells 0 (error) and 1 (rounds).
extern "C" fn wait_once(notification: u64, _: u64) -> ! {
    let out = syscall::wait(notification, FOREVER);
    set_cell(0, out.map_or_else(Error::number, |_| 0));
    count_cell(1);
    done()
}

/// A thread waits for the notification bound to it; binding and notification go, and their memory
/// becomes something else.
pub fn bound_wait(context: &mut Context) -> Outcome {
    let memory = context.untyped(12)?;
    let slot = context.slot();
    memory.retype(ObjectType::Notification, 12, 1, context.node, slot).tried("make a notification")?;
    let bell: Cap<Notification> = Cap::new(slot);
    let thread = Spawn::new(wait_once, slot, 0).make(context)?;
    for last in [false, true] {
        thread.bind_notification(Some(bell)).tried("bind")?;
        if last {
            break;
        }
        thread.start().tried("start")?;
        context.sleep(20)?;
        thread.bind_notification(None).tried("unbind")?;
        context.sleep(20)?;
        let ended = (1, Error::InvalidCapability.number());
        equal((cell(1), cell(0)), ended, "a wait whose binding is undone")?;
        thread.suspend().tried("suspend")?;
        thread.write_registers(Spawn::new(wait_once, slot, 0).registers()).tried("set registers")?;
    }
    thread.start().tried("start")?;
    context.sleep(20)?;
    context.node.revoke(memory.cptr()).tried("revoke")?;
    memory.retype(ObjectType::Frame, 12, 1, context.node, slot).tried("make a frame")?;
    let frame: Cap<Frame> = Cap::new(slot);
    scratch::with_frame(frame, |bytes| bytes.fill(0xff)).tried("fill it")?;
    thread.suspend().tried("suspend")?;
    let whole = scratch::with_frame(frame, |bytes| bytes.iter().all(|&byte| byte == 0xff));
    ensure!(whole.tried("look at it")?, "the core wrote into memory that it had given away");
    Ok(())
}

/// How long [`receive_at_once`] waits: far longer than an emulator keeps a CPU from running.
const TOGETHER_MS: u64 = 300;

/// Receives with the next Reply object each time that cell 0 changes. Cell 4 + `place`: the error;
/// cell 1: how often.
extern "C" fn receive_at_once(endpoint_and_place: u64, first_reply: u64) -> ! {
    let (endpoint, place) = (endpoint_and_place >> 8, endpoint_and_place as usize & 0xff);
    let mut round = 0;
    loop {
        while cell(0) == round {
            core::hint::spin_loop();
        }
        round = cell(0);
        let out = syscall::receive(endpoint, first_reply + round - 1, time::after_ms(TOGETHER_MS));
        set_cell(4 + place, out.map_or_else(Error::number, |_| 0));
        count_cell(1);
    }
}

/// Two threads on two CPUs never receive with one Reply object at once.
pub fn one_reply(context: &mut Context) -> Outcome {
    if context.boot.cpu_count < 3 {
        return context.skip("fewer than three CPUs");
    }
    const ROUNDS: u64 = 25;
    let replies = context.slots(ROUNDS);
    context.pool.retype(ObjectType::Reply, 12, ROUNDS, context.node, replies).tried("retype")?;
    for place in 0..2 {
        let endpoint = context.endpoint()?;
        let number = endpoint.cptr() << 8 | place;
        Spawn::new(receive_at_once, number, replies).cpu(1 + place).start(context)?;
    }
    context.sleep(50)?;
    for round in 1..=ROUNDS {
        set_cell(0, round);
        for _ in 0..2000 {
            if cell(1) == 2 * round {
                break;
            }
            context.sleep(1)?;
        }
        equal(cell(1), 2 * round, "threads that came back")?;
        let (busy, waited) = (Error::Busy.number(), Error::TimedOut.number());
        let outcomes = (cell(4).min(cell(5)), cell(4).max(cell(5)));
        equal(outcomes, (busy.min(waited), busy.max(waited)), &alloc::format!("round {round}: errors"))?;
    }
    Ok(())
}

/// Fills and empties a slot; each change has to be there when its call has returned. Cell 0: what
/// went wrong, cell 1: rounds.
extern "C" fn mint_and_delete(source: u64, slot: u64) -> ! {
    let node: Cap<CNode> = Cap::new(abi::boot::slot::CNODE);
    loop {
        let first = node.mint(source, slot, Rights::ALL, 0);
        let second = node.mint(source, slot, Rights::ALL, 0);
        let third = node.delete(slot);
        if (first, second, third) != (Ok(()), Err(Error::SlotOccupied), Ok(())) {
            set_cell(0, 1 << 32 | number(first) << 16 | number(second) << 8 | number(third));
            done()
        }
        count_cell(1);
    }
}

fn number(out: Result<(), Error>) -> u64 {
    out.map_or_else(Error::number, |()| 0)
}

/// A thread is stopped and moved while its system calls wait for the lock: none of them is lost.
pub fn stop_in_call(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let source = context.endpoint()?;
    let slot = context.slot();
    let thread: Cap<Thread> = Spawn::new(mint_and_delete, source.cptr(), slot).cpu(1).start(context)?;
    let last = context.boot.cpu_count - 1;
    for round in 0..3000 {
        if round % 3 == 2 {
            let cpu = if round % 2 == 0 { 1 } else { last };
            thread.set_cpu(context.cpu(cpu)).tried("move")?;
        } else {
            thread.suspend().tried("suspend")?;
            thread.start().tried("start")?;
        }
        equal(cell(0), 0, &alloc::format!("round {round}: what the calls came to"))?;
    }
    context.sleep(50)?;
    ensure!(cell(1) > 0, "it never came round");
    equal(cell(0), 0, "what the calls came to")
}

/// Calls an endpoint, then counts in cell 1 how often others of its priority had a turn (cell 0) in
/// the next 100 ms.
extern "C" fn call_then_count(endpoint: u64, _: u64) -> ! {
    let _ = syscall::call4(endpoint, 0, [0; 4]);
    let (before, end) = (cell(0), time::after_ms(100));
    while time::now() < end {
        core::hint::spin_loop();
    }
    set_cell(1, 1 + cell(0) - before);
    done()
}

/// Answers calls after more than a time slice.
extern "C" fn answer_late(endpoint: u64, reply: u64) -> ! {
    let mut out = syscall::receive(endpoint, reply, FOREVER);
    while out.is_ok() {
        let end = time::after_ms(25);
        while time::now() < end {
            core::hint::spin_loop();
        }
        out = syscall::reply_receive4(endpoint, 0, [0; 4], reply);
    }
    done()
}

extern "C" fn count(index: u64, _: u64) -> ! {
    loop {
        count_cell(index as usize);
    }
}

/// A thread that comes back from a call takes turns with its equals.
pub fn turns_after_call(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(answer_late, endpoint.cptr(), reply.cptr()).priority(60).start(context)?;
    context.sleep(5)?;
    Spawn::new(call_then_count, endpoint.cptr(), 0).priority(50).start(context)?;
    Spawn::new(count, 0, 0).priority(50).start(context)?;
    context.sleep(400)?;
    ensure!(cell(1) > 0, "the thread that called never came so far");
    ensure!(cell(1) > 1, "nobody of its priority had a turn");
    Ok(())
}

/// When there are no numbers left for spaces, the memory of the one that was begun is not taken for
/// zero.
pub fn spaces_run_out(context: &mut Context) -> Outcome {
    let memory = context.untyped(15)?;
    let slot = context.slot();
    let mut out = Ok(());
    for _ in 0..17 {
        let slots = context.slots(256);
        out = context.pool.retype(ObjectType::HostSpace, 14, 256, context.node, slots);
        if out.is_err() {
            break;
        }
    }
    refuses(out, Error::NotEnoughMemory, "a space too many")?;
    for _ in 0..256 {
        let one = context.slot();
        if context.pool.retype(ObjectType::HostSpace, 14, 1, context.node, one).is_err() {
            break;
        }
    }
    let again = memory.retype(ObjectType::HostSpace, 14, 1, context.node, slot);
    refuses(again, Error::NotEnoughMemory, "a space too many")?;
    memory.retype(ObjectType::Frame, 14, 1, context.node, slot).tried("a frame instead")?;
    // Its own table is there already: what is mapped for a look at the frame needs no new space.
    let clean = scratch::with_frame(Cap::new(slot), |bytes| bytes.iter().all(|&byte| byte == 0));
    ensure!(clean.tried("look at it")?, "the frame was not cleared");
    Ok(())
}
