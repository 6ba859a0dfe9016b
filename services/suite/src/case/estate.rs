// SPDX-License-Identifier: MIT OR Apache-2.0
//! What leaves the estate and comes to it: memory, CPUs, the doorbell.

use abi::boot::{DOORBELL, slot};
use abi::object::ObjectType;
use abi::rights::Rights;
use rt::cap::{Cap, Frame, Interrupt, Machine, Untyped};
use rt::device::{LastWord, Line, Target};
use rt::{Error, scratch, time};

use crate::child::{Spawn, cell};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// log2 of the bytes of a piece that is smaller than the core's own pages for it.
const BITS: u8 = 16;

fn machine() -> Cap<Machine> {
    Cap::new(slot::MACHINE)
}

/// The word at the start of a frame.
fn word_of(context: &mut Context, frame: Cap<Frame>, write: Option<u64>) -> Outcome<u64> {
    let copy = context.derive(frame, Rights::READ.or(Rights::WRITE), 0)?;
    let read = scratch::fill(copy, |bytes| {
        if let (Some(value), Some(to)) = (write, bytes.get_mut(..8)) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        bytes.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
    });
    let read = read.tried("look at a frame")?;
    context.node.delete(copy.cptr()).tried("look away")?;
    Ok(read)
}

/// Memory leaves unchanged, is then nobody's here, and comes back as it was.
pub fn surrender_and_adopt(context: &mut Context) -> Outcome {
    const MARK: u64 = 0x1122_3344_5566_7788;
    let frame = context.frame(BITS)?;
    let (base, bits) = frame.describe().tried("describe")?;
    word_of(context, frame, Some(MARK))?;
    let copy = context.derive(frame, Rights::READ, 0)?;
    refuses(frame.surrender(), Error::Busy, "a frame that has another capability")?;
    refuses(copy.surrender(), Error::MissingRights, "a frame without MANAGE")?;
    context.node.delete(copy.cptr()).tried("delete")?;
    let node = context.node;
    let other = context.slot();
    let whole = (ObjectType::Frame, bits);
    refuses(machine().adopt(base, whole, node, other), Error::Busy, "memory of our own")?;
    frame.surrender().tried("surrender")?;
    refuses(frame.describe(), Error::InvalidCapability, "a frame that is away")?;
    refuses(machine().adopt(base + 4096, whole, node, other), Error::Misaligned, "half of it")?;
    machine().adopt(base, whole, node, other).tried("adopt")?;
    equal(Cap::<Frame>::new(other).describe().tried("describe")?, (base, bits), "what came back")?;
    equal(word_of(context, Cap::new(other), None)?, MARK, "what was in it")
}

/// What memory was made of is not given out anew while that memory is away.
pub fn away_is_not_free(context: &mut Context) -> Outcome {
    let piece = context.untyped(BITS)?;
    let half: Cap<Untyped> = Cap::new(context.slot());
    let node = context.node;
    piece.retype(ObjectType::Untyped, BITS - 1, 1, node, half.cptr()).tried("retype")?;
    let state = half.describe().tried("describe")?;
    let object = context.slot();
    half.retype(ObjectType::Endpoint, 12, 1, node, object).tried("retype")?;
    refuses(half.surrender(), Error::Busy, "memory with an object")?;
    node.delete(object).tried("delete")?;
    half.surrender().tried("surrender")?;
    refuses(node.revoke(piece.cptr()), Error::Busy, "revoking what is away")?;
    refuses(node.delete(piece.cptr()), Error::Busy, "deleting what it is part of")?;
    equal(piece.describe().tried("describe")?.free, 1 << (BITS - 1), "what is left of the piece")?;
    machine().adopt(state.base, (ObjectType::Untyped, BITS - 1), node, half.cptr()).tried("adopt")?;
    node.revoke(piece.cptr()).tried("revoke")?;
    equal(piece.describe().tried("describe")?.free, 1 << BITS, "the piece as a whole")
}

/// What cannot be adopted is refused, and nothing has changed.
pub fn adopt_refuses(context: &mut Context) -> Outcome {
    let (node, to) = (context.node, context.slot());
    let page = (ObjectType::Frame, 12);
    let image = context.boot.regions.iter().find(|region| region.kind == 2).map_or(0, |region| region.base);
    let adopt = |base, what| machine().adopt(base, what, node, to);
    refuses(adopt(image, page), Error::Busy, "the core's image")?;
    refuses(adopt(0xfee0_0000, page), Error::Busy, "the local APIC")?;
    refuses(adopt(1 << 45, page), Error::OutOfRange, "memory that cannot be")?;
    refuses(adopt(0, page), Error::OutOfRange, "page 0")?;
    refuses(adopt(1 << 31, (ObjectType::Frame, 31)), Error::InvalidArgument, "too large a piece")?;
    refuses(adopt(4096, (ObjectType::Thread, 12)), Error::InvalidArgument, "a thread")?;
    let weak = context.derive(machine(), Rights::WRITE, 0)?;
    refuses(weak.adopt(image, page, node, to), Error::MissingRights, "without MANAGE")?;
    refuses(weak.adopt_cpu(0, node, to), Error::MissingRights, "a CPU without MANAGE")?;
    refuses(machine().adopt_cpu(0, node, to), Error::Busy, "a CPU that runs")?;
    refuses(machine().init(0), Error::Busy, "an INIT for a CPU that runs")?;
    refuses(context.cpu(0).release(Target::default(), None), Error::Busy, "a CPU with threads")
}

/// A CPU leaves, says so as its last word, and comes back; calls to where threads lived before find them.
pub fn cpu_leaves_and_comes(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let thread = Spawn::new(crate::case::schedule::count, 0, 0).cpu(1).start(context)?;
    let cpu = context.cpu(1);
    let state = cpu.describe().tried("describe")?;
    let frame = context.frame(12)?;
    let (node, to) = (context.node, context.slot());
    for round in 0..3 {
        refuses(cpu.release(Target::default(), None), Error::Busy, "a CPU with a thread")?;
        thread.set_cpu(context.cpu(0)).tried("move away")?;
        let last = LastWord { frame, offset: 8, value: 70 + round };
        cpu.release(Target::default(), Some(last)).tried("release")?;
        refuses(thread.set_cpu(cpu), Error::InvalidArgument, "moving to a CPU that left")?;
        equal(cpu.describe().tried("describe")?.online, false, "online")?;
        let copy = context.derive(frame, Rights::READ.or(Rights::WRITE), 0)?;
        let mut said = 0;
        for _ in 0..1000 {
            context.sleep(1)?;
            let read =
                |bytes: &mut [u8]| bytes.get(8..16).and_then(|b| b.try_into().ok().map(u64::from_le_bytes));
            said = scratch::fill(copy, read).tried("look")?.unwrap_or(0);
            if said == last.value {
                break;
            }
        }
        equal(said, last.value, "the last word")?;
        machine().init(state.apic_id as u32).tried("INIT")?;
        context.sleep(10)?;
        let index = machine().adopt_cpu(state.apic_id as u32, node, to).tried("adopt the CPU")?;
        equal(index, 1, "its place")?;
        thread.set_cpu(Cap::new(to)).tried("move back")?;
        let before = cell(0);
        context.sleep(50)?;
        ensure!(cell(0) > before, "nothing runs on the CPU that came back, round {round}");
        node.delete(to).tried("delete the capability")?;
        node.delete(copy.cptr()).tried("delete the copy")?;
    }
    Ok(())
}

/// The doorbell reaches the notification that it is bound to.
pub fn doorbell(context: &mut Context) -> Outcome {
    let line: Cap<Interrupt> = Cap::new(context.slot());
    machine().interrupt(DOORBELL as u32, Line::Edge, context.node, line.cptr()).tried("make it")?;
    let bell = context.notification()?;
    let badged = context.derive(bell, Rights::WRITE, 4)?;
    line.bind(badged).tried("bind")?;
    let own = context.cpu(0).describe().tried("describe")?.apic_id as u32;
    let ringer = context.derive(machine(), Rights::WRITE, 0)?;
    for _ in 0..3 {
        ringer.ring(own).tried("ring")?;
        equal(bell.wait(time::after_ms(1000)).tried("wait")?, 4, "the badge")?;
    }
    let reader = context.derive(machine(), Rights::READ, 0)?;
    refuses(reader.ring(own), Error::MissingRights, "ringing without WRITE")
}
