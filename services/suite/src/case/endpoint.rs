// SPDX-License-Identifier: MIT OR Apache-2.0
//! Endpoints: call, receive, reply; on one CPU and across.

use abi::message::{Info, MAX_WORDS};
use abi::rights::Rights;
use abi::syscall::FOREVER;
use rt::cap::{Cap, Endpoint, Reply};
use rt::{Error, ipc, syscall, time};

use crate::child::{self, ECHO, Spawn, cell, done, set_cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Answers every call with its own message, for ever.
extern "C" fn echo(endpoint: u64, reply: u64) -> ! {
    let mut message = syscall::receive(endpoint, reply, FOREVER);
    loop {
        message = match message {
            Ok(got) => syscall::reply_receive(endpoint, got.info, got.words, reply, FOREVER),
            Err(_) => done(),
        };
    }
}

/// Keeps its first caller waiting until cell 0 says otherwise; from then on as [`echo`].
extern "C" fn dawdle(endpoint: u64, reply: u64) -> ! {
    let Ok(first) = syscall::receive(endpoint, reply, FOREVER) else { done() };
    while cell(0) == 0 {
        syscall::yield_now();
    }
    let _ = syscall::reply(reply, first.info, first.words);
    echo(endpoint, reply)
}

/// Answers every call with the badge that it came by.
extern "C" fn badges(endpoint: u64, reply: u64) -> ! {
    let mut message = syscall::receive(endpoint, reply, FOREVER);
    loop {
        message = match message {
            Ok(got) => {
                syscall::reply_receive(endpoint, Info::new(1, 1), [got.badge, 0, 0, 0], reply, FOREVER)
            }
            Err(_) => done(),
        };
    }
}

/// Calls once, and leaves status and first word in cells 0 and 1; 1 goes to cell 2 at the end.
extern "C" fn call_once(endpoint: u64, word: u64) -> ! {
    let out = syscall::raw(0, endpoint, Info::new(7, 1).0, [word, 0, 0, 0], 0, FOREVER);
    set_cell(0, out.status);
    set_cell(1, out.words[0]);
    set_cell(2, 1);
    done()
}

/// Calls once with a deadline in 50 ms, and leaves the status in cell 0; 1 goes to cell 1 at the
/// end.
extern "C" fn call_in_vain(endpoint: u64, _: u64) -> ! {
    let out = syscall::raw(0, endpoint, Info::new(7, 1).0, [0; 4], 0, time::after_ms(50));
    set_cell(0, out.status);
    set_cell(1, 1);
    done()
}

fn converse(endpoint: Cap<Endpoint>) -> Outcome {
    for size in [0, 1, 4, 5, 100, MAX_WORDS] {
        let words = [1, 2, 3, 4];
        for index in 4..size {
            ipc::write_word(index, index as u64 * 3);
        }
        let out = syscall::call(endpoint.cptr(), Info::new(0xabcd, size), words, FOREVER).tried("call")?;
        equal((out.info.label(), out.info.words()), (0xabcd, size), "label and size")?;
        for index in 0..size.min(4) {
            equal(out.words[index], words[index], "a register word")?;
        }
        for index in 4..size {
            equal(ipc::read_word(index), index as u64 * 3, "a word of the buffer")?;
        }
    }
    Ok(())
}

/// Messages of every size arrive whole and come back.
pub fn call(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(echo, endpoint.cptr(), reply.cptr()).start(context)?;
    converse(endpoint)
}

/// The same with the server on another CPU.
pub fn call_across(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(echo, endpoint.cptr(), reply.cptr()).cpu(1).start(context)?;
    for _ in 0..200 {
        converse(endpoint)?;
    }
    Ok(())
}

/// The same with the server in a space of its own.
pub fn call_own_space(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    child::in_own_space(context, ECHO, (endpoint.cptr(), reply.cptr()), 0)?;
    converse(endpoint)
}

/// The server learns the badge, and only from the capability.
pub fn badge(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(badges, endpoint.cptr(), reply.cptr()).start(context)?;
    for badge in [1, 2, u64::MAX] {
        let caller = context.derive(endpoint, Rights::WRITE, badge)?;
        let out = syscall::call4(caller.cptr(), 5, [99, 0, 0, 0]).tried("call")?;
        equal(out.words[0], badge, "the badge")?;
    }
    let out = syscall::call4(endpoint.cptr(), 5, [99, 0, 0, 0]).tried("call")?;
    equal(out.words[0], 0, "no badge")
}

/// Calling needs WRITE, receiving READ; a message cannot pretend to come from the core.
pub fn rights(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let no_call = context.derive(endpoint, Rights::READ, 0)?;
    refuses(syscall::call4(no_call.cptr(), 1, [0; 4]), Error::MissingRights, "call without WRITE")?;
    let no_receive = context.derive(endpoint, Rights::WRITE, 0)?;
    let received = syscall::receive(no_receive.cptr(), reply.cptr(), 0);
    refuses(received, Error::MissingRights, "receive without READ")?;
    Spawn::new(echo, endpoint.cptr(), reply.cptr()).start(context)?;
    let forged = Info(Info::new(1, 4).0 | 3 << 15);
    let out = syscall::call(endpoint.cptr(), forged, [0; 4], FOREVER).tried("call")?;
    ensure!(!out.info.is_fault() && !out.info.is_notification(), "forged marks came back: {:?}", out.info);
    Ok(())
}

/// A receive that nobody answers ends at its deadline, a poll at once.
pub fn timeout(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    refuses(syscall::receive(endpoint.cptr(), reply.cptr(), 0), Error::TimedOut, "poll")?;
    for ms in [1, 20] {
        let begun = time::now();
        let received = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(ms));
        refuses(received, Error::TimedOut, "receive")?;
        let passed = (time::now() - begun) / time::tsc_khz();
        ensure!(passed >= ms && passed < ms + 500, "waited {passed} ms instead of {ms}");
    }
    Ok(())
}

/// A call ends at its deadline: where nobody receives, where the receiver keeps it waiting, here
/// and across CPUs. The late answer goes to nobody, and the next call gets its own.
pub fn call_timeout(context: &mut Context) -> Outcome {
    let nobody = context.endpoint()?;
    let call = |endpoint: Cap<Endpoint>, word, deadline| {
        syscall::call(endpoint.cptr(), Info::new(7, 1), [word, 0, 0, 0], deadline)
    };
    refuses(call(nobody, 1, 0), Error::TimedOut, "a call whose deadline has passed")?;
    refuses(call(nobody, 1, time::after_ms(5)), Error::TimedOut, "a call that nobody receives")?;
    let cpus = if context.has_two_cpus() { 2 } else { 1 };
    for cpu in 0..cpus {
        set_cell(0, 0);
        let (endpoint, reply) = (context.endpoint()?, context.reply()?);
        Spawn::new(dawdle, endpoint.cptr(), reply.cptr()).cpu(cpu).start(context)?;
        let begun = time::now();
        refuses(call(endpoint, 1, time::after_ms(20)), Error::TimedOut, "a call that is kept waiting")?;
        let passed = (time::now() - begun) / time::tsc_khz();
        ensure!((20..520).contains(&passed), "waited {passed} ms instead of 20");
        refuses(call(endpoint, 2, time::after_ms(5)), Error::TimedOut, "a call behind it")?;
        set_cell(0, 1);
        equal(call(endpoint, 3, FOREVER).tried("call")?.words[0], 3, "the answer to the next call")?;
        equal(call(endpoint, 4, time::after_ms(5000)).tried("call")?.words[0], 4, "an answer in time")?;
    }
    Ok(())
}

/// Takes a call by the short way and computes: nothing else enters the core until the deadline of
/// the caller.
extern "C" fn computes(endpoint: u64, reply: u64) -> ! {
    let _ = syscall::receive(endpoint, reply, FOREVER);
    loop {
        core::hint::spin_loop();
    }
}

/// Passes each call on to the next server, with a deadline of its own.
extern "C" fn relay(endpoint: u64, next: u64) -> ! {
    let (reply, next) = (next >> 32, next & 0xffff_ffff);
    let mut message = syscall::receive(endpoint, reply, FOREVER);
    loop {
        let Ok(got) = message else { done() };
        let out = syscall::call(next, got.info, got.words, time::after_ms(20));
        let words = out.map_or([Error::TimedOut.number(), 0, 0, 0], |out| out.words);
        message = syscall::reply_receive(endpoint, got.info, words, reply, time::after_ms(5000));
    }
}

/// Deadlines of calls that go the short way hold: of one whose server computes and never enters the
/// core, and of calls within calls, in whatever order they end.
pub fn short_way_timeout(context: &mut Context) -> Outcome {
    let call = |endpoint: Cap<Endpoint>, word, deadline| {
        syscall::call(endpoint.cptr(), Info::new(7, 1), [word, 0, 0, 0], deadline)
    };
    let (inner, inner_reply) = (context.endpoint()?, context.reply()?);
    let (outer, outer_reply) = (context.endpoint()?, context.reply()?);
    let above = crate::context::PRIORITY + 1;
    Spawn::new(echo, inner.cptr(), inner_reply.cptr()).priority(above).start(context)?;
    let link = outer_reply.cptr() << 32 | inner.cptr();
    Spawn::new(relay, outer.cptr(), link).priority(above).start(context)?;
    for round in 100..300 {
        let out = call(outer, round, time::after_ms(1000 - round)).tried("a call within a call")?;
        equal(out.words[0], round, "its answer")?;
    }
    let (busy, busy_reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(computes, busy.cptr(), busy_reply.cptr()).priority(90).start(context)?;
    context.sleep(5)?;
    let link = context.reply()?.cptr() << 32 | busy.cptr();
    let between = context.endpoint()?;
    Spawn::new(relay, between.cptr(), link).priority(90).start(context)?;
    context.sleep(5)?;
    for (first, least) in [(50, 20), (10, 10)] {
        let begun = time::now();
        let out = call(between, 1, time::after_ms(first));
        let passed = (time::now() - begun) / time::tsc_khz();
        ensure!((least..least + 500).contains(&passed), "waited {passed} ms instead of {least}");
        match (first, out) {
            (50, Ok(out)) => equal(out.words[0], Error::TimedOut.number(), "the inner call's end")?,
            (10, Err(Error::TimedOut)) => {}
            (_, out) => return Err(alloc::format!("a call of {first} ms: {out:?}")),
        }
    }
    Ok(())
}

/// A caller is moved to another CPU while it waits: its deadline moves along, and so does that of
/// one that is answered there.
pub fn call_timeout_moves(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let nobody = context.endpoint()?;
    for to in [1, 0, 1] {
        set_cell(1, 0);
        let caller = Spawn::new(call_in_vain, nobody.cptr(), 0).cpu(1 - to).start(context)?;
        context.sleep(10)?;
        caller.set_cpu(context.cpu(to)).tried("move the caller")?;
        let end = time::after_ms(5000);
        while cell(1) == 0 && time::now() < end {
            context.sleep(5)?;
        }
        equal((cell(1), cell(0)), (1, Error::TimedOut.number()), "the call's end and status")?;
    }
    Ok(())
}

/// Deadlines that pass while the answer is on its way: each call is answered as it should be or has
/// timed out, and none is answered twice.
pub fn call_timeout_race(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(echo, endpoint.cptr(), reply.cptr()).cpu(1).start(context)?;
    let (mut answered, mut late) = (0, 0);
    for round in 0..4000_u64 {
        let deadline = time::now() + time::tsc_khz() * (round % 64) / 512;
        match syscall::call(endpoint.cptr(), Info::new(7, 1), [round, 0, 0, 0], deadline) {
            Ok(out) => {
                equal(out.words[0], round, "the answer")?;
                answered += 1;
            }
            Err(Error::TimedOut) => late += 1,
            Err(other) => return Err(alloc::format!("call {round}: {other:?}")),
        }
    }
    ensure!(answered > 0 && late > 0, "{answered} answered, {late} late");
    converse(endpoint)
}

/// A caller hears that its reply is lost when the Reply object that holds it dies.
pub fn reply_lost(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(call_once, endpoint.cptr(), 42).start(context)?;
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("receive")?;
    equal(got.words[0], 42, "the word")?;
    context.node.delete(reply.cptr()).tried("delete the Reply object")?;
    context.sleep(20)?;
    equal((cell(2), cell(0)), (1, Error::ReplyLost.number()), "the caller's status")
}

/// A caller that waits for a receiver hears of the endpoint's death.
pub fn endpoint_dies(context: &mut Context) -> Outcome {
    let endpoint = context.endpoint()?;
    Spawn::new(call_once, endpoint.cptr(), 42).start(context)?;
    context.sleep(20)?;
    equal(cell(2), 0, "the caller waits")?;
    context.node.delete(endpoint.cptr()).tried("delete the endpoint")?;
    context.sleep(20)?;
    equal(cell(2), 1, "the caller goes on")?;
    ensure!(cell(0) != 0, "the call succeeded");
    Ok(())
}

/// Several callers wait in line; a held one is answered out of order.
pub fn held_callers(context: &mut Context) -> Outcome {
    let endpoint = context.endpoint()?;
    let replies: [Cap<Reply>; 2] = [context.reply()?, context.reply()?];
    for number in [10, 20] {
        Spawn::new(echo_call, endpoint.cptr(), number).priority(101).start(context)?;
    }
    let first = syscall::receive(endpoint.cptr(), replies[0].cptr(), time::after_ms(1000)).tried("first")?;
    let second =
        syscall::receive(endpoint.cptr(), replies[1].cptr(), time::after_ms(1000)).tried("second")?;
    equal(first.words[0] + second.words[0], 30, "both callers")?;
    let busy = syscall::receive(endpoint.cptr(), replies[1].cptr(), 0);
    refuses(busy, Error::Busy, "a Reply object in use")?;
    syscall::reply(replies[1].cptr(), Info::new(1, 1), [second.words[0] + 1, 0, 0, 0]).tried("reply")?;
    syscall::reply(replies[0].cptr(), Info::new(1, 1), [first.words[0] + 1, 0, 0, 0]).tried("reply")?;
    context.sleep(20)?;
    equal((cell(1), cell(2)), (11, 21), "the answers")
}

/// Calls with a number, and leaves the answer in the cell of that number's tens.
extern "C" fn echo_call(endpoint: u64, number: u64) -> ! {
    if let Ok(out) = syscall::call4(endpoint, 1, [number, 0, 0, 0]) {
        set_cell(number as usize / 10, out.words[0]);
    }
    done()
}
