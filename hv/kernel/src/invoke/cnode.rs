// SPDX-License-Identifier: MIT OR Apache-2.0
//! CNodes: mint, move, delete, revoke.

use super::Call;
use crate::finalise::{self, EMBEDDED, Progress};
use crate::hold::{Abort, Grip, Outcome};
use crate::lookup;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::rights::Rights;
use cap::{Derive, Move};
use store::SlotMemory;

/// Steps of a revocation in one system call.
const REVOKE_STEPS: usize = 32;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    match call.label {
        Invocation::CNodeMint => mint(call),
        Invocation::CNodeMove => shift(call),
        Invocation::CNodeDelete => {
            let slot = target(call, call.words[0], Grip::World)?;
            finalise::delete(slot, call.hold)?;
            call.answer(&[])
        }
        Invocation::CNodeRevoke => {
            let slot = target(call, call.words[0], Grip::World)?;
            for _ in 0..REVOKE_STEPS {
                if finalise::revoke_step(slot, call.hold)? == Progress::Done {
                    return call.answer(&[]);
                }
            }
            Err(Abort::Again)
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn target(call: &Call, index: u64, grip: Grip) -> Result<cap::SlotRef, Abort> {
    call.need(Rights::MANAGE)?;
    call.hold.need(grip)?;
    Ok(lookup::within(call.cap, index, 1)?)
}

fn mint(call: &Call) -> Outcome {
    let [source, index, rights, badge] = call.words;
    let to = target(call, index, Grip::Lock)?;
    let (from, _) = lookup::cap(call.thread, source)?;
    Derive::mint(&SlotMemory, from, to, Rights::from_bits(rights), badge)?.perform(&mut SlotMemory);
    call.answer(&[])
}

fn shift(call: &Call) -> Outcome {
    // A moved capability leaves its slot, which another CPU may be looking at.
    let to = target(call, call.words[1], Grip::World)?;
    let (from, cap) = lookup::cap(call.thread, call.words[0])?;
    debug_assert!(cap.flags & EMBEDDED == 0);
    Move::decode(&SlotMemory, from, to)?.perform(&mut SlotMemory);
    call.answer(&[])
}
