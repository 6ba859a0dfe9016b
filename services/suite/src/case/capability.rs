// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capabilities in messages.

use abi::message::Info;
use abi::rights::Rights;
use abi::syscall::FOREVER;
use rt::cap::{Cap, Notification};
use rt::{Error, ipc, syscall};

use crate::child::{Spawn, done};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Answers with the number of capabilities that came.
extern "C" fn take(endpoint: u64, reply: u64) -> ! {
    let mut message = syscall::receive(endpoint, reply, FOREVER);
    loop {
        message = match message {
            Ok(got) => {
                let words = [got.info.caps() as u64, 0, 0, 0];
                syscall::reply_receive(endpoint, Info::new(1, 1), words, reply, FOREVER)
            }
            Err(_) => done(),
        };
    }
}

/// A capability travels where the sender may grant and the receiver named a slot, with its rights
/// and badge.
pub fn transfer(context: &mut Context) -> Outcome {
    transfer_to(context, 0)
}

/// The same to another CPU.
pub fn transfer_across(context: &mut Context) -> Outcome {
    if context.has_two_cpus() { transfer_to(context, 1) } else { context.skip("one CPU") }
}

fn transfer_to(context: &mut Context, cpu: u64) -> Outcome {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let target: Cap<Notification> = Cap::new(context.slot());
    let mut spawn = Spawn::new(take, endpoint.cptr(), reply.cptr()).cpu(cpu);
    spawn.receive_slot = target.cptr();
    spawn.start(context)?;
    let notification = context.notification()?;
    let gift = context.derive(notification, Rights::WRITE, 8)?;
    ipc::set_caps(&[gift.cptr()]);
    let info = Info::new(1, 1).with_caps(1);
    let without = context.derive(endpoint, Rights::WRITE, 1)?;
    let out = syscall::call(without.cptr(), info, [0; 4], FOREVER).tried("call without GRANT")?;
    equal(out.words[0], 0, "capabilities that came without GRANT")?;
    let with = context.derive(endpoint, Rights::WRITE.or(Rights::GRANT), 2)?;
    let out = syscall::call(with.cptr(), info, [0; 4], FOREVER).tried("call with GRANT")?;
    equal(out.words[0], 1, "capabilities that came")?;
    target.signal().tried("signal by what came")?;
    equal(notification.wait(0).tried("poll")?, 8, "its badge")?;
    refuses(target.wait(0), Error::MissingRights, "a right that was not sent")?;
    let out = syscall::call(with.cptr(), info, [0; 4], FOREVER).tried("call again")?;
    equal(out.words[0], 0, "capabilities that came into a full slot")?;
    context.node.revoke(notification.cptr()).tried("revoke")?;
    refuses(target.signal(), Error::InvalidCapability, "what came, after revocation")
}
