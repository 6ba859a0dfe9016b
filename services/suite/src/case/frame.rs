// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames and host spaces: mapping, permissions, limits.

use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use rt::cap::{Cap, Frame};
use rt::{Error, syscall, time};

use crate::child::{self, Spawn, done};
use crate::context::Context;
use crate::outcome::{Outcome, Tried, equal, refuses};

/// A free part of the case's own space.
const FREE: u64 = 0x6100_0000_0000;
const READ_WRITE: Rights = Rights::READ.or(Rights::WRITE);

/// What cannot be mapped is refused; what is mapped can be unmapped once.
pub fn map(context: &mut Context) -> Outcome {
    let space = context.space;
    let (small, large) = (context.frame(12)?, context.frame(21)?);
    refuses(small.map(space, FREE + 8, READ_WRITE), Error::Misaligned, "an odd address")?;
    refuses(large.map(space, FREE + 0x1000, READ_WRITE), Error::Misaligned, "an odd address for 2 MiB")?;
    refuses(small.map(space, 0xffff_8000_0000_0000, READ_WRITE), Error::OutOfRange, "a kernel address")?;
    refuses(small.map(space, 1 << 47, READ_WRITE), Error::OutOfRange, "an address that is none")?;
    refuses(small.map(context.node, FREE, READ_WRITE), Error::InvalidCapability, "a CNode as space")?;
    refuses(small.unmap(), Error::NotMapped, "unmapping what is not mapped")?;
    small.map(space, FREE, READ_WRITE).tried("map")?;
    refuses(small.map(space, FREE + 0x1000, READ_WRITE), Error::AlreadyMapped, "mapping twice")?;
    let other = context.frame(12)?;
    refuses(other.map(space, FREE, READ_WRITE), Error::AlreadyMapped, "a second frame at one address")?;
    large.map(space, FREE + (1 << 21), READ_WRITE).tried("map 2 MiB")?;
    refuses(other.map(space, FREE + (1 << 21) + 0x5000, READ_WRITE), Error::AlreadyMapped, "inside 2 MiB")?;
    small.unmap().tried("unmap")?;
    refuses(small.unmap(), Error::NotMapped, "unmapping twice")?;
    other.map(space, FREE, READ_WRITE).tried("map where it was")?;
    let weak = context.derive(small, Rights::READ, 0)?;
    refuses(weak.map(space, FREE + 0x2000, READ_WRITE), Error::MissingRights, "more than the rights")?;
    large.unmap().tried("unmap 2 MiB")?;
    context.node.delete(other.cptr()).tried("delete a mapped frame")?;
    small.map(space, FREE, Rights::READ).tried("map after deletion")
}

/// A space without room for a table says so, and nothing has changed.
pub fn tables(context: &mut Context) -> Outcome {
    let space = context.host_space(14)?;
    let mut mapped = 0u64;
    let frame = context.frame(12)?;
    refuses(frame.map(space, 0x40_0000, READ_WRITE), Error::TablesExhausted, "three tables of two")?;
    let large = context.frame(21)?;
    large.map(space, 0x40_0000, READ_WRITE).tried("two tables of two")?;
    large.unmap().tried("unmap")?;
    let roomy = context.host_space(16)?;
    for index in 0..64 {
        let frame = context.frame(12)?;
        match frame.map(roomy, index << 30, READ_WRITE) {
            Ok(()) => mapped += 1,
            Err(Error::TablesExhausted) => break,
            Err(error) => return Err(alloc::format!("mapping {index}: {error:?}")),
        }
    }
    ensure!((5..=7).contains(&mapped), "{mapped} mappings out of 14 tables");
    Ok(())
}

/// The frame that backs one address can be seen at another: they are the same memory.
pub fn shared(context: &mut Context) -> Outcome {
    let frame = context.frame(13)?;
    let copy = context.derive(frame, READ_WRITE, 0)?;
    rt::scratch::with_frame(frame, |bytes| bytes[0x1234] = 0x5a).tried("write")?;
    let byte = rt::scratch::with_frame(copy, |bytes| bytes[0x1234]).tried("read")?;
    equal(byte, 0x5a, "the byte")
}

/// Reads (code in a space of its own): `mov rax, [rdi]`, writes: `mov [rdi], rax`, jumps: `jmp
/// rdi`.
const READ: &[u8] = &[0x48, 0x8b, 0x07, 0x0f, 0x0b];
const WRITE: &[u8] = &[0x48, 0x89, 0x07, 0x0f, 0x0b];
const JUMP: &[u8] = &[0xff, 0xe7];

fn accesses(context: &mut Context, rights: Rights, code: &[u8]) -> Outcome<(u32, u64)> {
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let target: u64 = 0x50_0000;
    let space = context.host_space(15)?;
    let text = context.frame(12)?;
    rt::scratch::with_frame(text, |bytes| bytes[..code.len()].copy_from_slice(code)).tried("fill")?;
    text.map(space, 0x40_0000, Rights::READ.or(Rights::EXECUTE)).tried("map code")?;
    let page = context.frame(12)?;
    rt::scratch::with_frame(page, |bytes| bytes[..2].copy_from_slice(&[0x0f, 0x0b])).tried("fill")?;
    page.map(space, target, rights).tried("map the page")?;
    let thread: Cap<rt::cap::Thread> = Cap::new(context.make(abi::object::ObjectType::Thread, 12)?);
    let buffer: Cap<Frame> = context.frame(12)?;
    thread.configure(context.node, space, buffer, Some(endpoint)).tried("configure")?;
    let start = rt::thread::Start { rip: 0x40_0000, rdi: target, ..Default::default() };
    thread.write_registers(start).tried("set registers")?;
    thread.set_schedule(crate::context::PRIORITY, 0).tried("schedule")?;
    thread.start().tried("start")?;
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("hear of it")?;
    syscall::reply(reply.cptr(), Info::new(1, 0), [0; 4]).tried("reply")?;
    let detail = if got.info.label() == Fault::Page as u32 { got.words[1] } else { got.words[2] };
    Ok((got.info.label(), detail))
}

/// Permissions hold: no write to what is read-only, no execution of what is data.
pub fn permissions(context: &mut Context) -> Outcome {
    let exception = Fault::Exception as u32;
    let page = Fault::Page as u32;
    equal(accesses(context, Rights::READ, READ)?.0, exception, "a read of a readable page goes on")?;
    let (kind, error) = accesses(context, Rights::READ, WRITE)?;
    equal((kind, error & 7), (page, 7), "a write to a read-only page")?;
    equal(accesses(context, READ_WRITE, WRITE)?.0, exception, "a write to a writable page goes on")?;
    let (kind, error) = accesses(context, READ_WRITE, JUMP)?;
    equal((kind, error & 0x15), (page, 0x15), "execution of data")?;
    let (kind, rip) = accesses(context, Rights::READ.or(Rights::EXECUTE), JUMP)?;
    equal((kind, rip), (exception, 0x50_0000), "execution of code goes on")
}

/// Unmapping is felt by a thread that runs in the space on another CPU.
pub fn unmap_across(context: &mut Context) -> Outcome {
    if !context.has_two_cpus() {
        return context.skip("one CPU");
    }
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    for round in 0..20u64 {
        let frame = context.frame(12)?;
        let address = FREE + 0x10_0000 + round * 0x1000;
        frame.map(context.space, address, Rights::READ.or(Rights::EXECUTE)).tried("map")?;
        // The page is all zero bytes; what counts is that the child's touch of it faults once it is
        // gone.
        let spawn = Spawn::new(touch_stack, 0, 0).faults(endpoint).cpu(1);
        let thread = spawn.make(context)?;
        frame.unmap().tried("unmap")?;
        frame.map(context.space, address, READ_WRITE).tried("map writable")?;
        let mut start = spawn.registers();
        start.rsp = address + 0x800;
        thread.write_registers(start).tried("set registers")?;
        thread.start().tried("start")?;
        context.sleep(3)?;
        frame.unmap().tried("unmap under a running thread")?;
        let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("its fault")?;
        equal((got.info.label(), got.words[0] & !0xfff), (Fault::Page as u32, address), "the fault")?;
        syscall::reply(reply.cptr(), Info::new(1, 0), [0; 4]).tried("reply")?;
    }
    Ok(())
}

/// Pushes and pops for ever.
extern "C" fn touch_stack(_: u64, _: u64) -> ! {
    loop {
        core::hint::black_box(child::set_cell as fn(usize, u64))(7, 1);
        if child::cell(8) == 1 {
            done();
        }
    }
}
