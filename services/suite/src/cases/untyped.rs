// SPDX-License-Identifier: MIT OR Apache-2.0
//! Untyped memory: what is made of it, what is refused, and that nothing of an earlier life shows.

use crate::context::{Context, ensure, expect, expect_error};
use crate::suite::{Case, Verdict};
use abi::error::Error;
use abi::object::ObjectType;
use alloc::format;
use rt::cap::{Cap, Frame, Untyped};
use rt::scratch::with_frame;

/// The cases.
pub const CASES: &[Case] = &[
    Case { name: "untyped-retype-makes-each-type", run: each_type },
    Case { name: "untyped-refuses-bad-arguments", run: refusals },
    Case { name: "untyped-memory-is-zero-when-reused", run: zero_when_reused },
];

fn each_type(context: &mut Context) -> Verdict {
    for kind in ObjectType::ALL {
        let Some((bits, _)) = kind.size_bits() else { continue };
        let made = context.object::<Untyped>(kind, bits);
        let virtual_machine = matches!(kind, ObjectType::GuestSpace | ObjectType::Vcpu);
        if !virtual_machine || context.info.virtualization == 0 {
            made?;
        }
    }
    Ok(())
}

fn refusals(context: &mut Context) -> Verdict {
    let untyped: Cap<Untyped> = context.object(ObjectType::Untyped, 14)?;
    let (node, slot) = (context.node(), context.slot());
    let refused = |what, kind, bits, count, slot, wanted| {
        expect_error(what, untyped.retype(kind, bits, count, node, slot), wanted)
    };
    refused("too small", ObjectType::Frame, 11, 1, slot, Error::InvalidArgument)?;
    refused("none", ObjectType::Frame, 12, 0, slot, Error::InvalidArgument)?;
    refused("a CPU", ObjectType::Cpu, 12, 1, slot, Error::InvalidArgument)?;
    refused("too much", ObjectType::Frame, 12, 5, slot, Error::NotEnoughMemory)?;
    refused("slot 0", ObjectType::Frame, 12, 1, 0, Error::OutOfRange)?;
    refused("beyond the CNode", ObjectType::Frame, 12, 1, 1 << 40, Error::OutOfRange)?;
    refused("slot in use", ObjectType::Frame, 12, 1, 1, Error::SlotOccupied)?;
    expect("four frames fit", untyped.retype(ObjectType::Frame, 12, 4, node, slot))?;
    refused("nothing left", ObjectType::Frame, 12, 1, slot + 8, Error::NotEnoughMemory)
}

fn zero_when_reused(context: &mut Context) -> Verdict {
    let untyped: Cap<Untyped> = context.object(ObjectType::Untyped, 16)?;
    let (node, slot) = (context.node(), context.slot());
    for round in 0..3 {
        expect("retype", untyped.retype(ObjectType::Frame, 16, 1, node, slot))?;
        let zero = with_frame(Cap::<Frame>::new(slot), |bytes| {
            let zero = bytes.iter().all(|&byte| byte == 0);
            bytes.fill(0xa5);
            zero
        });
        ensure(expect("map", zero)?, &format!("round {round}: the frame was not zero"))?;
        expect("revoke", node.revoke(untyped.cptr()))?;
    }
    Ok(())
}
