// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that leaves the estate unchanged, and memory that comes to it.
//!
//! A piece that is away keeps its place among the derivations, in a slot of the core's; when it is
//! adopted as a whole it comes back as what it was.

use super::Call;
use crate::hold::{Abort, Grip, Outcome};
use crate::lookup;
use abi::PAGE_BITS;
use abi::error::Error;
use abi::object::ObjectType;
use abi::rights::Rights;
use cap::{Cap, SlotRef};
use store::{SlotMemory, peek};
use x86_machine::window::{Piece, Refused};

/// Largest piece.
const LARGEST_BITS: u8 = 30;

/// `MachineSurrender`. It asks for the machine because what is away cannot be revoked: whoever only
/// holds memory must not be able to keep it from its owner.
pub fn surrender(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::World)?;
    let (slot, cap) = lookup::cap(call.thread, call.words[0])?;
    let is_frame = cap.kind() == ObjectType::Frame;
    if !is_frame && cap.kind() != ObjectType::Untyped {
        return Err(Abort::Error(Error::InvalidCapability));
    }
    if !cap.rights().has(Rights::MANAGE) {
        return Err(Abort::Error(Error::MissingRights));
    }
    if cap.size_bits > LARGEST_BITS {
        return Err(Abort::Error(Error::OutOfRange));
    }
    let mapped = is_frame && cap.badge != 0;
    // Does anything else stand for this memory?
    if mapped || cap::has_descendants(&SlotMemory, slot) || !cap::is_last(&SlotMemory, slot) {
        return Err(Abort::Error(Error::Busy));
    }
    let to = store::free_away_slot().ok_or(Error::NotEnoughMemory)?;
    let piece = Piece::leaving(cap.object, 1 << cap.size_bits).map_err(refused)?;
    store::move_away(slot, to);
    call.hold.flush_window_everywhere(piece.unmap());
    call.answer(&[])
}

/// `MachineAdopt`.
pub fn adopt(call: &Call) -> Outcome {
    call.need(Rights::MANAGE)?;
    call.hold.need(Grip::World)?;
    let [base, what, cnode, index] = call.words;
    let bits = u8::try_from(what >> 8).map_err(|_| Error::InvalidArgument)?;
    let kind = ObjectType::from_number(what & 0xff).ok_or(Error::InvalidArgument)?;
    if !matches!(kind, ObjectType::Untyped | ObjectType::Frame) || !(PAGE_BITS..=LARGEST_BITS).contains(&bits)
    {
        return Err(Abort::Error(Error::InvalidArgument));
    }
    if base & ((1 << bits) - 1) != 0 {
        return Err(Abort::Error(Error::Misaligned));
    }
    let to = lookup::destination(call.thread, cnode, index, 1)?;
    if !peek(to).is_null() {
        return Err(Abort::Error(Error::SlotOccupied));
    }
    let piece = Piece::coming(base, 1 << bits).map_err(refused)?;
    piece.map().map_err(refused)?;
    bring(to, kind, bits, base);
    call.answer(&[])
}

/// Fill a slot: with what was surrendered, or with a capability derived from nothing.
fn bring(to: SlotRef, kind: ObjectType, bits: u8, base: u64) {
    match store::away_slot(base, bits) {
        Some(from) => store::move_away(from, to),
        None => cap::insert_root(&mut SlotMemory, to, Cap::new(kind, Rights::ALL, bits, base)),
    }
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::OutOfRange => Error::OutOfRange,
        Refused::Owned => Error::Busy,
        Refused::TablesExhausted => Error::NotEnoughMemory,
    }
}
