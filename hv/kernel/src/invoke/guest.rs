// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest spaces: seal, unseal, pager, books of written pages, writes on the guest's behalf.

use super::Call;
use crate::fault;
use crate::finalise::largest;
use crate::hold::{Abort, Grip, Hold, Outcome};
use crate::{finalise, lookup, thread};
use abi::error::Error;
use abi::fault::Fault;
use abi::invocation::Invocation;
use abi::message::{MAX_WORDS, REGISTER_WORDS};
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::{PAGE_SIZE, message::Info};
use addr::GuestPhysAddr;
use cap::SlotRef;
use paging::{FaultStep, GuestTable, HarvestRequest, UnsealError};
use store::{GuestSpace, Ref, Tables, Thread, peek};
use x86_machine::percpu;

/// Most words of the bitmap in one call: covers 64 MiB.
const BITMAP_WORDS: usize = 256;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    let space = Ref::<GuestSpace>::from_cap(call.cap).ok_or(Error::InvalidCapability)?;
    match call.label {
        Invocation::GuestSeal => seal(call, space),
        Invocation::GuestUnseal => unseal(call, space),
        Invocation::GuestSetPager => set_pager(call, space),
        Invocation::GuestHarvest => harvest(call, space),
        Invocation::GuestWrite => write(call, space),
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

fn table(space: Ref<GuestSpace>) -> (GuestTable, Tables<'static>) {
    let tables = Tables::of_guest(space);
    (GuestTable::new(tables.root(), largest(), space.epoch.get()), tables)
}

fn seal(call: &Call, space: Ref<GuestSpace>) -> Outcome {
    call.need(Rights::SEAL)?;
    let pager = endpoint(call)?;
    call.hold.need(Grip::Lock)?;
    if pager.is_some() {
        replace_pager(call, space, pager)?;
    }
    let (mut table, mut tables) = table(space);
    let flush = table.seal(&mut tables);
    space.epoch.set(table.epoch());
    // A right is cut: the CPUs that run this guest leave it, and flush before they enter again;
    // those that write its memory finish.
    flush.spend(&mut tables, |_| call.hold.visit(space.cut()));
    call.answer(&[table.epoch()])
}

fn unseal(call: &Call, space: Ref<GuestSpace>) -> Outcome {
    call.need(Rights::SEAL)?;
    call.hold.need(Grip::Lock)?;
    let address = GuestPhysAddr::new(call.words[0]).ok_or(Error::OutOfRange)?;
    let (table, mut tables) = table(space);
    table.unseal(&mut tables, address).map_err(|error| match error {
        UnsealError::NotMapped | UnsealError::ReadOnly => Error::NotMapped,
        UnsealError::TablesExhausted => Error::TablesExhausted,
    })?;
    call.answer(&[])
}

fn set_pager(call: &Call, space: Ref<GuestSpace>) -> Outcome {
    call.need(Rights::SEAL)?;
    let pager = endpoint(call)?;
    call.hold.need(Grip::Lock)?;
    replace_pager(call, space, pager)?;
    call.answer(&[])
}

/// The slot of the endpoint that word 0 names; `None` for 0.
fn endpoint(call: &Call) -> Result<Option<SlotRef>, Error> {
    match call.words[0] {
        0 => Ok(None),
        cptr => Ok(Some(lookup::typed(call.thread, cptr, ObjectType::Endpoint, Rights::WRITE)?.0)),
    }
}

/// Puts another pager, or none, in the place of the present one. Only the holder of the lock asks
/// who that is.
fn replace_pager(call: &Call, space: Ref<GuestSpace>, source: Option<SlotRef>) -> Outcome {
    let slot = space.pager_slot.at(0);
    if !finalise::drop_copy(slot) {
        // It is the last capability to an endpoint that its owner has given up.
        call.hold.need(Grip::World)?;
        finalise::delete(slot, call.hold)?;
    }
    if let Some(source) = source {
        space.pager.set(Ref::from_cap(&finalise::embed(source, slot, Rights::WRITE)?));
    }
    Ok(())
}

fn harvest(call: &Call, space: Ref<GuestSpace>) -> Outcome {
    call.need(Rights::READ)?;
    call.hold.need(Grip::Lock)?;
    let buffer = call.thread.buffer.get();
    if buffer == 0 {
        return Err(Abort::Error(Error::NotConfigured));
    }
    let [from, epoch, forget, end] = call.words;
    let from = GuestPhysAddr::new(from).ok_or(Error::InvalidArgument)?;
    if from.as_u64() % PAGE_SIZE != 0 {
        return Err(Abort::Error(Error::Misaligned));
    }
    let (table, mut tables) = table(space);
    let mut bitmap = [0; BITMAP_WORDS];
    let request = HarvestRequest { from, end, epoch, forget: forget & 1 == 1 };
    let progress = table.harvest(&mut tables, request, &mut bitmap).map_err(|_| Error::InvalidArgument)?;
    for (index, word) in bitmap.into_iter().enumerate().take(progress.words) {
        store::write_word(buffer, REGISTER_WORDS + index, word);
    }
    call.answer(&[progress.next, u64::from(progress.more), progress.first, progress.words as u64])?;
    const { assert!(REGISTER_WORDS + BITMAP_WORDS <= MAX_WORDS) };
    call.thread.context.rsi.set(Info::new(0, REGISTER_WORDS + progress.words).0);
    Ok(())
}

fn write(call: &Call, space: Ref<GuestSpace>) -> Outcome {
    call.need(Rights::WRITE)?;
    let [address, frame, offset, bytes] = call.words;
    let (_, frame) = lookup::typed(call.thread, frame, ObjectType::Frame, Rights::READ)?;
    // Do the bytes lie within one page of the frame and one page of the guest?
    let end = offset.checked_add(bytes).ok_or(Error::OutOfRange)?;
    let within = |start: u64| start % PAGE_SIZE + bytes <= PAGE_SIZE;
    if bytes == 0 || bytes > PAGE_SIZE || end > 1 << frame.size_bits || !within(offset) || !within(address) {
        return Err(Abort::Error(Error::OutOfRange));
    }
    let address = GuestPhysAddr::new(address).ok_or(Error::OutOfRange)?;
    space.enter(percpu::cpu_index());
    let (table, tables) = table(space);
    let mapping = table.translate(&tables, address).ok_or(Error::NotMapped)?;
    if !mapping.perms.write {
        call.hold.need(Grip::Lock)?;
        return match open_page(space, address) {
            Opened::Yes => Err(Abort::Again),
            Opened::Ask(page) => {
                thread::rewind(call.thread);
                let asked = ask_pager(call.thread, space, page, call.hold);
                if asked.is_err() {
                    thread::advance(call.thread);
                }
                asked
            }
            Opened::Never => Err(Abort::Error(Error::NotMapped)),
        };
    }
    store::copy(frame.object + offset, mapping.pa.as_u64(), bytes);
    call.answer(&[])
}

/// Whether a page that refused a write can be written now.
pub enum Opened {
    /// It can, or can soon: try again.
    Yes,
    /// The pager has to be asked about this page.
    Ask(u64),
    /// It is not the guest's to write.
    Never,
}

/// A write was refused at an address: push the seal down to its page, and open that if nobody has
/// to be asked. With the lock held.
pub fn open_page(space: Ref<GuestSpace>, address: GuestPhysAddr) -> Opened {
    let (table, mut tables) = table(space);
    loop {
        match table.write_fault(&mut tables, address) {
            FaultStep::PushedDown => {}
            FaultStep::AlreadyWritable => return Opened::Yes,
            FaultStep::Sealed(page) if space.pager.get().is_some() => return Opened::Ask(page.as_u64()),
            FaultStep::Sealed(page) => {
                return match table.unseal(&mut tables, page) {
                    Ok(()) => Opened::Yes,
                    Err(_) => Opened::Never,
                };
            }
            FaultStep::ReadOnly | FaultStep::NotMapped | FaultStep::TablesExhausted => return Opened::Never,
        }
    }
}

/// Block the current thread until the pager has saved a page and opened it. The thread executes its
/// system call again then.
///
/// # Errors
/// `Need` the world, before the pager's first receive.
pub fn ask_pager(thread: Ref<Thread>, space: Ref<GuestSpace>, page: u64, hold: &Hold) -> Outcome {
    let Some(pager) = space.pager.get() else { return Ok(()) };
    let badge = peek(space.pager_slot.at(0)).badge;
    fault::call_handler(thread, pager, (Fault::SealedWrite, badge), [page, 0, 0, 0], hold)
}
