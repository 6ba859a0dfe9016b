// SPDX-License-Identifier: MIT OR Apache-2.0
//! Untyped memory: what can be made of it, taking it back, and that nothing of the former owner
//! remains.

use abi::object::ObjectType;
use rt::cap::{Cap, Frame};
use rt::{Error, scratch};

use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// There is memory for one of each kind.
pub fn each_type(context: &mut Context) -> Outcome {
    for kind in ObjectType::ALL {
        let Some((bits, _)) = kind.size_bits() else { continue };
        let slot = context.slot();
        let made = context.pool.retype(kind, bits, 1, context.node, slot);
        let of_a_vm = matches!(kind, ObjectType::GuestSpace | ObjectType::Vcpu);
        if of_a_vm && !context.has_virtualization() {
            refuses(made, Error::Unsupported, "an object of a VM without virtualization")?;
        } else {
            made.tried("make the smallest of a kind")?;
        }
    }
    Ok(())
}

/// Objects come out aligned and are accounted for; what cannot be made is refused.
pub fn retype(context: &mut Context) -> Outcome {
    let memory = context.untyped(16)?;
    let node = context.node;
    let free = |what: &str| memory.describe().map(|state| state.free).tried(what);
    equal(free("describe")?, 1 << 16, "free at first")?;
    let first = context.slots(4);
    memory.retype(ObjectType::Frame, 12, 1, node, first).tried("a page")?;
    memory.retype(ObjectType::Frame, 13, 1, node, first + 1).tried("two pages")?;
    let base = memory.describe().tried("describe")?.base;
    let place = |slot| Cap::<Frame>::new(slot).describe().tried("describe a frame");
    equal(place(first)?, (base, 12), "the first frame")?;
    equal(place(first + 1)?, (base + 0x2000, 13), "the second frame, aligned")?;
    equal(free("describe")?, (1 << 16) - 0x4000, "free after four pages")?;
    memory.retype(ObjectType::Endpoint, 12, 2, node, first + 2).tried("two endpoints")?;
    let more = context.slot();
    refuses(memory.retype(ObjectType::Frame, 12, 1, node, first), Error::SlotOccupied, "a full slot")?;
    refuses(memory.retype(ObjectType::Frame, 16, 1, node, more), Error::NotEnoughMemory, "too much")?;
    refuses(memory.retype(ObjectType::Frame, 11, 1, node, more), Error::InvalidArgument, "too small")?;
    refuses(memory.retype(ObjectType::Frame, 31, 1, node, more), Error::InvalidArgument, "too large")?;
    refuses(memory.retype(ObjectType::Frame, 12, 0, node, more), Error::InvalidArgument, "none")?;
    refuses(memory.retype(ObjectType::Machine, 12, 1, node, more), Error::InvalidArgument, "a machine")?;
    refuses(memory.retype(ObjectType::Frame, 12, 1, node, 0), Error::OutOfRange, "slot 0")?;
    refuses(memory.retype(ObjectType::Frame, 12, 1, node, 1 << 14), Error::OutOfRange, "a slot too far")?;
    equal(free("describe")?, (1 << 16) - 0x6000, "free after all refusals")
}

/// Taking back frees everything that was made, at any depth.
pub fn revoke(context: &mut Context) -> Outcome {
    let memory = context.untyped(18)?;
    let node = context.node;
    let inner = context.slots(20);
    memory.retype(ObjectType::Untyped, 16, 1, node, inner).tried("inner")?;
    let inner_memory = Cap::<rt::cap::Untyped>::new(inner);
    inner_memory.retype(ObjectType::Frame, 12, 8, node, inner + 1).tried("frames")?;
    memory.retype(ObjectType::CNode, 12, 1, node, inner + 9).tried("a CNode")?;
    let inside = Cap::<rt::cap::CNode>::new(inner + 9);
    inside.mint(inner + 1, 5, abi::rights::Rights::ALL, 0).tried("mint into it")?;
    refuses(node.delete(memory.cptr()), Error::Busy, "deleting memory in use")?;
    node.revoke(memory.cptr()).tried("revoke")?;
    equal(memory.describe().tried("describe")?.free, 1 << 18, "free afterwards")?;
    for slot in inner..inner + 10 {
        let gone = Cap::<Frame>::new(slot).describe();
        refuses(gone, Error::InvalidCapability, "a capability to what is gone")?;
    }
    memory.retype(ObjectType::Frame, 18, 1, node, inner).tried("all of it again")?;
    node.delete(inner).tried("delete the frame")?;
    node.delete(memory.cptr()).tried("delete the memory")
}

/// Memory that changes hands is zero.
pub fn zeroing(context: &mut Context) -> Outcome {
    let memory = context.untyped(20)?;
    let node = context.node;
    let slot = context.slot();
    for round in 0..3 {
        memory.retype(ObjectType::Frame, 20, 1, node, slot).tried("retype")?;
        let frame: Cap<Frame> = Cap::new(slot);
        let dirt = scratch::with_frame(frame, |bytes| {
            let dirt = bytes.iter().filter(|byte| **byte != 0).count();
            bytes.fill(0xa5);
            dirt
        });
        equal(dirt.tried("look into the frame")?, 0, "bytes of the former owner")?;
        if round == 1 {
            node.delete(slot).tried("delete")?;
        } else {
            node.revoke(memory.cptr()).tried("revoke")?;
        }
    }
    Ok(())
}
