// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealing guest memory: books of written pages, pagers, writes by the VMM.

use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use abi::vcpu::Exit;
use rt::cap::{Cap, GuestSpace};
use rt::{Error, scratch, syscall, time};

use crate::child::{Spawn, cell, done, set_cell};
use crate::context::Context;
use crate::guest::{ENTRY, Guest};
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Writes to pages 2, 5 and 9, then halts: mov al, 1; mov [0x2000], al; mov [0x5000], al; mov ds to 0x900: [0] = al; hlt.
const WRITER: &[u8] =
    &[0xb0, 0x01, 0xa2, 0x00, 0x20, 0xa2, 0x00, 0x50, 0xbb, 0x00, 0x09, 0x8e, 0xdb, 0xa2, 0x00, 0x00, 0xf4];
const PAGES: [u64; 3] = [2, 5, 9];

fn books(space: Cap<GuestSpace>, epoch: u64, forget: bool) -> Outcome<u64> {
    let mut words = [0; 4];
    let harvest = space.harvest(0..u64::MAX, epoch, forget, &mut words).tried("harvest")?;
    ensure!(!harvest.more && harvest.first == 0, "a harvest of {:#x} to {:#x}", harvest.first, harvest.next);
    Ok(words[0])
}

fn bits() -> u64 {
    PAGES.iter().map(|page| 1 << page).sum()
}

/// Without a pager, sealed pages are unsealed at the first write, and the books say which were written since.
pub fn auto_unseal(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let mut guest = Guest::new(context, &[(ENTRY, WRITER)])?;
    // In the epoch in which it was mapped, all of it counts as written.
    let mut before = u64::MAX;
    for round in 0..4 {
        let epoch = guest.space.seal().tried("seal")?;
        equal(books(guest.space, epoch - 1, false)?, before, "the books of the epoch before")?;
        equal(books(guest.space, epoch - 1, true)?, before, "these books, to be forgotten")?;
        equal(books(guest.space, epoch - 1, false)?, 0, "these books, forgotten")?;
        equal(books(guest.space, epoch, false)?, 0, "written right after sealing")?;
        guest.cpu.page_mut().rip = ENTRY;
        guest.cpu.page_mut().dirty = abi::vcpu::group::ALL & !abi::vcpu::group::FPU;
        guest.run_to(Exit::Halt)?;
        let written = books(guest.space, epoch, false)?;
        equal(written, bits(), &alloc::format!("pages written in round {round}"))?;
        equal(books(guest.space, epoch, false)?, written, "the books, once more")?;
        let forget = guest.space.harvest(0..0x10_0000, epoch, true, &mut [0; 1]);
        refuses(forget, Error::InvalidArgument, "forgetting what is still being written")?;
        before = written;
        refuses(
            guest.space.harvest(0..0x10_0000, epoch + 2, false, &mut [0; 1]),
            Error::InvalidArgument,
            "an epoch to come",
        )?;
    }
    Ok(())
}

/// Runs a vCPU until it halts or fails; exit in cell 0, 1 in cell 1 at the end.
extern "C" fn run_vcpu(vcpu: u64, _: u64) -> ! {
    let out = syscall::vcpu_run(vcpu);
    set_cell(0, out.map_or_else(Error::number, |()| 0));
    set_cell(1, 1);
    done()
}

/// With a pager, each sealed page is asked for before its first write, once, with its old content in place.
pub fn pager(context: &mut Context) -> Outcome {
    pager_on(context, 0)
}

/// The same with the vCPU on another CPU.
pub fn pager_across(context: &mut Context) -> Outcome {
    if context.has_two_cpus() { pager_on(context, 1) } else { context.skip("one CPU") }
}

fn pager_on(context: &mut Context, cpu: u64) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let mut guest = Guest::new(context, &[(ENTRY, WRITER)])?;
    let (endpoint, reply) = (context.endpoint()?, context.reply()?);
    let pager = context.derive(endpoint, Rights::WRITE, 33)?;
    guest.space.set_pager(Some(pager)).tried("set the pager")?;
    guest.space.seal().tried("seal")?;
    guest.cpu.page_mut().deadline = time::after_ms(5000);
    Spawn::new(run_vcpu, guest.cpu.cap().cptr(), 0).cpu(cpu).start(context)?;
    for page in PAGES {
        let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("be asked")?;
        ensure!(got.info.is_fault(), "a message that is no fault: {:?}", got.info);
        let wanted = (33, Fault::SealedWrite as u32, page << 12);
        equal((got.badge, got.info.label(), got.words[0]), wanted, "who, what, where")?;
        equal(guest.byte(context, page << 12)?, 0, "the old content")?;
        guest.space.unseal(page << 12).tried("unseal")?;
        syscall::reply(reply.cptr(), Info::new(0, 0), [0; 4]).tried("reply")?;
    }
    context.sleep(50)?;
    equal((cell(1), cell(0)), (1, 0), "the run ended well")?;
    equal(guest.cpu.page().exit, Exit::Halt as u64, "its exit")?;
    for page in PAGES {
        equal(guest.byte(context, page << 12)?, 1, "the new content")?;
    }
    guest.space.set_pager(None).tried("no pager")
}

/// Writes by the VMM honour the seal and are in the books.
pub fn write(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let guest = Guest::new(context, &[(ENTRY, &[0xf4])])?;
    let bounce = context.frame(13)?;
    scratch::with_frame(bounce, |bytes| bytes.fill(0x77)).tried("fill")?;
    let epoch = guest.space.seal().tried("seal")?;
    guest.space.write(0x7123, bounce, 0x10, 100).tried("write")?;
    equal(guest.byte(context, 0x7123)?, 0x77, "the first byte")?;
    equal(guest.byte(context, 0x7123 + 99)?, 0x77, "the last byte")?;
    equal(guest.byte(context, 0x7123 + 100)?, 0, "the byte after")?;
    equal(books(guest.space, epoch, false)?, 1 << 7, "the books")?;
    let space = guest.space;
    refuses(space.write(0x7f00, bounce, 0, 0x200), Error::OutOfRange, "across a guest page")?;
    refuses(space.write(0x7000, bounce, 0xf00, 0x200), Error::OutOfRange, "across a page of the frame")?;
    refuses(space.write(0x7000, bounce, 0x2000, 1), Error::OutOfRange, "behind the frame")?;
    refuses(space.write(0x7000, bounce, 0, 0), Error::OutOfRange, "nothing")?;
    refuses(space.write(0x40_0000, bounce, 0, 1), Error::NotMapped, "to nothing")?;
    let reader = context.derive(space, Rights::READ, 0)?;
    refuses(reader.write(0x7000, bounce, 0, 1), Error::MissingRights, "write without WRITE")?;
    refuses(reader.seal(), Error::MissingRights, "seal without SEAL")
}

/// Large pages are split where they are written, and only there; without room for the split nothing is written.
pub fn large_pages(context: &mut Context) -> Outcome {
    const BASE: u64 = 0x40_0000;
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let bounce = context.frame(12)?;
    for (bits, fits) in [(16, true), (14, false)] {
        let space: Cap<GuestSpace> = Cap::new(context.make(abi::object::ObjectType::GuestSpace, bits)?);
        let memory = context.frame(22)?;
        memory.map(space, BASE, Rights::READ.or(Rights::WRITE)).tried("map 4 MiB")?;
        let epoch = space.seal().tried("seal")?;
        let written = space.write(BASE + 0x5000, bounce, 0, 8);
        if !fits {
            ensure!(written.is_err(), "a write without room for the split");
            continue;
        }
        written.tried("write to a sealed large page")?;
        space.unseal(BASE + 0x20_0000).tried("unseal in the other one")?;
        let mut words = [0; 16];
        let end = BASE + 0x40_0000;
        let harvest = space.harvest(0..end, epoch, false, &mut words).tried("harvest")?;
        equal((harvest.first, harvest.next, harvest.more), (BASE, end, false), "what a harvest covers")?;
        equal(words[0], 1 << 5, "the first large page's books")?;
        equal(words[8], 1, "the second one's")?;
        equal(words[1..8].iter().chain(&words[9..]).sum::<u64>(), 0, "all other pages")?;
        memory.unmap().tried("unmap what was split")?;
        refuses(space.write(BASE + 0x5000, bounce, 0, 8), Error::NotMapped, "a write to what is gone")?;
    }
    Ok(())
}
