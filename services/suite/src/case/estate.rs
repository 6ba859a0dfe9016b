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
use crate::random::Random;

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
    refuses(machine().surrender(frame), Error::Busy, "a frame that has another capability")?;
    refuses(machine().surrender(copy), Error::MissingRights, "a frame without MANAGE")?;
    context.node.delete(copy.cptr()).tried("delete")?;
    let node = context.node;
    let other = context.slot();
    let whole = (ObjectType::Frame, bits);
    refuses(machine().adopt(base, whole, node, other), Error::Busy, "memory of our own")?;
    machine().surrender(frame).tried("surrender")?;
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
    refuses(machine().surrender(half), Error::Busy, "memory with an object")?;
    node.delete(object).tried("delete")?;
    machine().surrender(half).tried("surrender")?;
    refuses(node.revoke(piece.cptr()), Error::Busy, "revoking what is away")?;
    refuses(node.delete(piece.cptr()), Error::Busy, "deleting what it is part of")?;
    equal(piece.describe().tried("describe")?.free, 1 << (BITS - 1), "what is left of the piece")?;
    machine().adopt(state.base, (ObjectType::Untyped, BITS - 1), node, half.cptr()).tried("adopt")?;
    node.revoke(piece.cptr()).tried("revoke")?;
    equal(piece.describe().tried("describe")?.free, 1 << BITS, "the piece as a whole")
}

/// Who holds memory, but not the machine, cannot keep it from whoever it came from.
pub fn surrender_needs_the_machine(context: &mut Context) -> Outcome {
    let piece = context.untyped(BITS)?;
    let node = context.node;
    let (memory, frame): (Cap<Untyped>, Cap<Frame>) = (Cap::new(context.slot()), Cap::new(context.slot()));
    piece.retype(ObjectType::Untyped, 12, 1, node, memory.cptr()).tried("retype")?;
    piece.retype(ObjectType::Frame, 12, 1, node, frame.cptr()).tried("retype")?;
    // A machine that may only ring, as the succession service holds it, and what else might be
    // invoked instead.
    let weak = context.derive(machine(), Rights::WRITE.or(Rights::READ), 0)?;
    refuses(weak.surrender(memory), Error::MissingRights, "untyped memory without MANAGE of the machine")?;
    refuses(weak.surrender(frame), Error::MissingRights, "a frame without MANAGE of the machine")?;
    for other in [memory.cptr(), frame.cptr(), piece.cptr(), context.thread.cptr(), node.cptr()] {
        let other: Cap<Machine> = Cap::new(other);
        refuses(other.surrender(memory), Error::InvalidInvocation, "something else than the machine")?;
        refuses(other.surrender(frame), Error::InvalidInvocation, "something else than the machine")?;
    }
    refuses(machine().surrender(context.thread), Error::InvalidCapability, "a thread")?;
    refuses(machine().surrender(machine()), Error::InvalidCapability, "the machine itself")?;
    node.revoke(piece.cptr()).tried("revoke")?;
    refuses(memory.describe(), Error::InvalidCapability, "memory that was revoked")?;
    equal(piece.describe().tried("describe")?.free, 1 << BITS, "the piece as a whole")
}

/// Pieces leave and come in any order, with objects made and ended between; in the end everything
/// is there again.
pub fn pieces_come_and_go(context: &mut Context) -> Outcome {
    const PIECES: u64 = 16;
    let whole = context.untyped(BITS + 4)?;
    let (node, first) = (context.node, context.slots(PIECES));
    whole.retype(ObjectType::Untyped, BITS, PIECES, node, first).tried("retype")?;
    let base = whole.describe().tried("describe")?.base;
    let object = context.slot();
    let mut random = Random(context.option("seed").and_then(|seed| seed.parse().ok()).unwrap_or(1));
    let mut away = 0_u64;
    for _ in 0..500 {
        let number = random.below(PIECES);
        let piece: Cap<Untyped> = Cap::new(first + number);
        let at = base + (number << BITS);
        if away & 1 << number != 0 {
            machine().adopt(at, (ObjectType::Untyped, BITS), node, piece.cptr()).tried("adopt")?;
            away ^= 1 << number;
            equal(piece.describe().tried("describe")?.base, at, "what came back")?;
            continue;
        }
        piece.retype(ObjectType::Frame, 12, 1, node, object).tried("use a piece that is here")?;
        refuses(machine().surrender(piece), Error::Busy, "a piece in use")?;
        node.delete(object).tried("end what was made of it")?;
        machine().surrender(piece).tried("surrender")?;
        away ^= 1 << number;
        refuses(node.delete(whole.cptr()), Error::Busy, "deleting what is partly away")?;
    }
    for number in (0..PIECES).filter(|number| away & 1 << number != 0) {
        let at = base + (number << BITS);
        machine().adopt(at, (ObjectType::Untyped, BITS), node, first + number).tried("adopt the rest")?;
    }
    node.revoke(whole.cptr()).tried("revoke")?;
    equal(whole.describe().tried("describe")?.free, 1 << (BITS + 4), "the memory as a whole")
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

/// A CPU leaves, says so as its last word, and comes back; calls to where threads lived before find
/// them.
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

/// A CPU is stopped and started anew before it got round to leaving: it does not leave afterwards.
pub fn cpu_comes_before_it_left(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let thread = Spawn::new(crate::case::schedule::count, 0, 0).cpu(1).start(context)?;
    let cpu = context.cpu(1);
    let id = cpu.describe().tried("describe")?.apic_id as u32;
    let (node, to) = (context.node, context.slot());
    for round in 0..3 {
        thread.set_cpu(context.cpu(0)).tried("move away")?;
        cpu.release(Target::default(), None).tried("release")?;
        machine().init(id).tried("INIT")?;
        machine().adopt_cpu(id, node, to).tried("adopt the CPU")?;
        // The others are stopped for that, and go on.
        thread.set_cpu(Cap::new(to)).tried("move back")?;
        let before = cell(0);
        context.sleep(50)?;
        ensure!(cell(0) > before, "nothing runs on the CPU that came back, round {round}");
        node.delete(to).tried("delete the capability")?;
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
