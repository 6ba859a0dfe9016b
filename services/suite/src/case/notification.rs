// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications: words of flags, waiting, deadlines, binding.

use abi::rights::Rights;
use abi::syscall::FOREVER;
use rt::cap::{Cap, Notification};
use rt::{Error, syscall, time};

use crate::child::{Spawn, cell, count_cell, done, set_cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Waits for ever again and again, and puts each word into cell 0 and their number into cell 1.
extern "C" fn listen(notification: u64, answer: u64) -> ! {
    while let Ok(word) = syscall::wait(notification, FOREVER) {
        set_cell(0, word);
        count_cell(1);
        let _ = syscall::signal(answer);
    }
    done()
}

/// Flags gather until they are taken.
pub fn flags(context: &mut Context) -> Outcome {
    let notification = context.notification()?;
    refuses(notification.wait(0), Error::TimedOut, "an empty word")?;
    for badge in [1, 4, 4, 16] {
        context.derive(notification, Rights::WRITE, badge)?.signal().tried("signal")?;
    }
    notification.signal().tried("signal without a badge")?;
    equal(notification.wait(0).tried("poll")?, 21, "the word")?;
    refuses(notification.wait(0), Error::TimedOut, "a word that was taken")?;
    let begun = time::now();
    refuses(notification.wait(time::after_ms(20)), Error::TimedOut, "waiting")?;
    let passed = (time::now() - begun) / time::tsc_khz();
    ensure!((20..520).contains(&passed), "waited {passed} ms instead of 20");
    Ok(())
}

fn ping_pong(context: &mut Context, cpu: u64) -> Outcome {
    let (there, back) = (context.notification()?, context.notification()?);
    Spawn::new(listen, there.cptr(), back.cptr()).cpu(cpu).start(context)?;
    for round in 1..=200 {
        there.signal().tried("signal")?;
        back.wait(time::after_ms(1000)).tried("wait for the answer")?;
        equal((cell(0), cell(1)), (1, round), "word and rounds")?;
    }
    Ok(())
}

/// A signal wakes the thread that waits.
pub fn wake(context: &mut Context) -> Outcome {
    ping_pong(context, 0)
}

/// The same from CPU to CPU.
pub fn wake_across(context: &mut Context) -> Outcome {
    if context.has_two_cpus() { ping_pong(context, 1) } else { context.skip("one CPU") }
}

/// A bound notification ends a receive, at once where it was signalled before.
pub fn bound(context: &mut Context) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let bell = context.notification()?;
    let ring = context.derive(bell, Rights::WRITE, 9)?;
    context.thread.bind_notification(Some(bell)).tried("bind")?;
    ring.signal().tried("signal")?;
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), FOREVER).tried("receive")?;
    ensure!(got.info.is_notification() && got.badge == 9, "received {got:?}");
    Spawn::new(ring_later, ring.cptr(), 0).priority(50).start(context)?;
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("receive")?;
    ensure!(got.info.is_notification() && got.badge == 9, "received {got:?}");
    let other = Spawn::new(ring_later, ring.cptr(), 0).make(context)?;
    refuses(other.bind_notification(Some(bell)), Error::Busy, "binding it twice")?;
    context.thread.bind_notification(None).tried("unbind")?;
    ring.signal().tried("signal")?;
    let unbound = syscall::receive(endpoint.cptr(), reply.cptr(), 0);
    refuses(unbound, Error::TimedOut, "receive when unbound")?;
    equal(bell.wait(0).tried("poll")?, 9, "the word")
}

extern "C" fn ring_later(bell: u64, _: u64) -> ! {
    let bell: Cap<Notification> = Cap::new(bell);
    let _ = bell.signal();
    done()
}
