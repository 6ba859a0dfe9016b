// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: map, unmap, describe.

use super::Call;
use crate::finalise::{self, Progress, largest};
use crate::hold::{Abort, Grip, Outcome};
use crate::lookup;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use addr::{GuestPhysAddr, PhysAddr, VirtAddr};
use cap::{Cap, SlotRef, Slots};
use paging::{Block, GuestTable, HostTable, MapError, Perms};
use store::{AnySpace, SlotMemory, Tables, peek, space_of};

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    match call.label {
        Invocation::FrameMap => map(call),
        Invocation::FrameUnmap => {
            if space_of(call.cap.badge).is_none() {
                return Err(Abort::Error(Error::NotMapped));
            }
            call.hold.need(Grip::World)?;
            match finalise::unmap(call.slot, call.hold) {
                Progress::Done => call.answer(&[]),
                Progress::More => Err(Abort::Again),
            }
        }
        Invocation::FrameDescribe => {
            call.need(Rights::READ)?;
            call.answer(&[call.cap.object, u64::from(call.cap.size_bits)])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn map(call: &Call) -> Outcome {
    let [space, address, rights, _] = call.words;
    let (_, space) = lookup::cap(call.thread, space)?;
    if !space.rights().has(Rights::MANAGE) {
        return Err(Abort::Error(Error::MissingRights));
    }
    call.hold.need(Grip::Lock)?;
    map_slot(call.slot, &space, address, Rights::from_bits(rights))?;
    call.answer(&[])
}

/// Map the frame in a slot into the space that a capability names. With the lock held.
///
/// # Errors
/// See `FrameMap`.
pub fn map_slot(slot: SlotRef, space: &Cap, address: u64, wanted: Rights) -> Result<(), Error> {
    let mut frame = peek(slot);
    // Is it mapped already, in a space that still exists?
    if space_of(frame.badge).is_some() {
        return Err(Error::AlreadyMapped);
    }
    let block = PhysAddr::new(frame.object).ok_or(Error::OutOfRange)?;
    let id = match space.kind() {
        ObjectType::HostSpace => {
            let space = store::Ref::from_cap(space).ok_or(Error::InvalidCapability)?;
            let perms = host_perms(frame.rights(), wanted)?;
            VirtAddr::user(address).ok_or(Error::OutOfRange)?;
            let mut tables = Tables::of_host(space);
            let table = HostTable::new(tables.root(), largest());
            let block = Block { address, frame: block, bits: frame.size_bits };
            table.map(&mut tables, block, perms).map_err(refused)?;
            space.id.get()
        }
        ObjectType::GuestSpace => {
            let space = store::Ref::from_cap(space).ok_or(Error::InvalidCapability)?;
            // May the frame become guest memory?
            if !frame.rights().has(Rights::GUEST) {
                return Err(Error::MissingRights);
            }
            GuestPhysAddr::new(address).ok_or(Error::OutOfRange)?;
            let mut tables = Tables::of_guest(space);
            let table = GuestTable::new(tables.root(), largest(), space.epoch.get());
            let block = Block { address, frame: block, bits: frame.size_bits };
            table.map(&mut tables, block).map_err(refused)?;
            space.id.get()
        }
        _ => return Err(Error::InvalidCapability),
    };
    frame.badge = id;
    frame.aux = address;
    debug_assert!(matches!(space_of(id), Some(AnySpace::Host(_) | AnySpace::Guest(_))));
    SlotMemory.write_cap(slot, frame);
    Ok(())
}

fn host_perms(has: Rights, wanted: Rights) -> Result<Perms, Error> {
    // Does the capability carry what is wanted? Reading is part of every mapping.
    if !has.has(wanted) || !has.has(Rights::READ) {
        return Err(Error::MissingRights);
    }
    Ok(Perms { write: wanted.has(Rights::WRITE), execute: wanted.has(Rights::EXECUTE) })
}

fn refused(error: MapError) -> Error {
    match error {
        MapError::Misaligned => Error::Misaligned,
        MapError::OutOfRange => Error::OutOfRange,
        MapError::AlreadyMapped => Error::AlreadyMapped,
        MapError::TablesExhausted => Error::TablesExhausted,
    }
}
