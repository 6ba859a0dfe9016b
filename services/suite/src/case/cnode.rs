// SPDX-License-Identifier: MIT OR Apache-2.0
//! CNodes: mint, move, delete, revoke, and what they refuse.

use abi::object::ObjectType;
use abi::rights::Rights;
use rt::cap::{CNode, Cap, Frame};
use rt::{Error, syscall};

use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Derived capabilities have fewer rights, never more; badges are set once.
pub fn mint(context: &mut Context) -> Outcome {
    let notification = context.notification()?;
    let watcher = context.derive(notification, Rights::READ, 0)?;
    refuses(watcher.signal(), Error::MissingRights, "signal without WRITE")?;
    let again = context.derive(watcher, Rights::ALL, 0)?;
    refuses(again.signal(), Error::MissingRights, "rights regained")?;
    let badged = context.derive(notification, Rights::WRITE, 6)?;
    badged.signal().tried("signal")?;
    equal(notification.wait(0).tried("poll")?, 6, "the badge")?;
    let node = context.node;
    let slot = context.slot();
    refuses(node.mint(badged.cptr(), slot, Rights::ALL, 7), Error::InvalidArgument, "a second badge")?;
    let frame = context.frame(12)?;
    refuses(node.mint(frame.cptr(), slot, Rights::ALL, 7), Error::InvalidArgument, "a badge on a frame")?;
    let pool = context.pool;
    refuses(
        node.mint(pool.cptr(), slot, Rights::ALL, 0),
        Error::InvalidArgument,
        "a copy of untyped memory",
    )?;
    refuses(node.mint(slot, slot + 1, Rights::ALL, 0), Error::InvalidCapability, "an empty source")?;
    refuses(node.mint(frame.cptr(), frame.cptr(), Rights::ALL, 0), Error::SlotOccupied, "a full slot")?;
    refuses(node.mint(frame.cptr(), 0, Rights::ALL, 0), Error::OutOfRange, "slot 0")?;
    refuses(node.mint(frame.cptr(), 1 << 14, Rights::ALL, 0), Error::OutOfRange, "a slot too far")?;
    refuses(node.mint(u64::MAX, slot, Rights::ALL, 0), Error::InvalidCapability, "a source too far")
}

/// Moving takes the place along; deleting is not an error twice; both need MANAGE.
pub fn move_and_delete(context: &mut Context) -> Outcome {
    let small: Cap<CNode> = Cap::new(context.make(ObjectType::CNode, 12)?);
    let notification = context.notification()?;
    let badged = context.derive(notification, Rights::WRITE, 1)?;
    small.move_(badged.cptr(), 63).tried("move")?;
    refuses(badged.signal(), Error::InvalidCapability, "the slot that was left")?;
    refuses(small.move_(notification.cptr(), 63), Error::SlotOccupied, "a full slot")?;
    refuses(small.move_(notification.cptr(), 64), Error::OutOfRange, "a slot too far")?;
    let weak = context.derive(small, Rights::READ, 0)?;
    refuses(weak.delete(63), Error::MissingRights, "delete without MANAGE")?;
    refuses(weak.mint(notification.cptr(), 1, Rights::ALL, 0), Error::MissingRights, "mint without MANAGE")?;
    small.delete(63).tried("delete")?;
    small.delete(63).tried("delete an empty slot")?;
    refuses(small.delete(64), Error::OutOfRange, "delete too far")?;
    small.mint(notification.cptr(), 63, Rights::ALL, 0).tried("mint where it was")
}

/// Revoking deletes what was derived, at any depth and anywhere, and nothing else.
pub fn revoke(context: &mut Context) -> Outcome {
    let notification = context.notification()?;
    let child = context.derive(notification, Rights::ALL, 2)?;
    let grandchild = context.derive(child, Rights::ALL, 0)?;
    let sibling = context.derive(notification, Rights::ALL, 4)?;
    let small: Cap<CNode> = Cap::new(context.make(ObjectType::CNode, 12)?);
    small.mint(grandchild.cptr(), 1, Rights::ALL, 0).tried("mint elsewhere")?;
    context.node.revoke(child.cptr()).tried("revoke the child")?;
    refuses(grandchild.signal(), Error::InvalidCapability, "the grandchild")?;
    child.signal().tried("the child itself")?;
    sibling.signal().tried("the sibling")?;
    equal(notification.wait(0).tried("poll")?, 6, "the word")?;
    context.node.revoke(notification.cptr()).tried("revoke all")?;
    refuses(child.signal(), Error::InvalidCapability, "the child")?;
    notification.signal().tried("the original")?;
    small.mint(notification.cptr(), 1, Rights::ALL, 0).tried("the slot is empty")
}

/// A long chain of derivations is either made or refused, and taken back.
pub fn deep_chain(context: &mut Context) -> Outcome {
    let frame = context.frame(12)?;
    let mut last = frame;
    let mut depth = 0;
    let refusal = loop {
        let slot = context.slot();
        match context.node.mint(last.cptr(), slot, Rights::ALL, 0) {
            Ok(()) => last = Cap::new(slot),
            Err(error) => break Some(error),
        }
        depth += 1;
        if depth == 5000 {
            break None;
        }
    };
    ensure!(matches!(refusal, None | Some(Error::TooDeep)), "depth {depth}: {refusal:?}");
    context.node.revoke(frame.cptr()).tried("revoke the chain")?;
    refuses(last.describe(), Error::InvalidCapability, "the end of the chain")?;
    frame.describe().tried("the beginning of the chain").map(|_| ())
}

/// Numbers that name nothing are refused by every call, and nothing happens.
pub fn invalid_numbers(context: &mut Context) -> Outcome {
    let empty = context.slot();
    for cptr in [0, empty, 1 << 14, u64::MAX, 1 << 63] {
        let frame: Cap<Frame> = Cap::new(cptr);
        refuses(frame.describe(), Error::InvalidCapability, "invoke")?;
        refuses(syscall::signal(cptr), Error::InvalidCapability, "signal")?;
        refuses(syscall::wait(cptr, 0), Error::InvalidCapability, "wait")?;
        refuses(syscall::receive(cptr, 0, 0), Error::InvalidCapability, "receive")?;
        refuses(syscall::vcpu_run(cptr), Error::InvalidCapability, "run")?;
    }
    let returned = syscall::raw(99, 0, 0, [0; 4], 0, 0);
    refuses(returned.check(), Error::InvalidSyscall, "system call 99")?;
    let info = abi::message::Info::new(0xdead, 4);
    let unknown = syscall::call(context.node.cptr(), info, [0; 4], abi::syscall::FOREVER);
    refuses(unknown, Error::InvalidInvocation, "an unknown invocation")
}
