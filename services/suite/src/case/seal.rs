// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealing guest memory: books of written pages, pagers, writes by the VMM.

use abi::fault::Fault;
use abi::message::Info;
use abi::rights::Rights;
use abi::vcpu::Exit;
use rt::cap::{Cap, GuestSpace};
use rt::{Error, scratch, syscall, time};

use crate::child::{Spawn, cell, count_cell, done, set_cell};
use crate::context::Context;
use crate::guest::{ENTRY, Guest};
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Writes to pages 2, 5 and 9, then halts: mov al, 1; mov [0x2000], al; mov [0x5000], al; mov ds to
/// 0x900: [0] = al; hlt.
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

/// Without a pager, sealed pages are unsealed at the first write, and the books say which were
/// written since.
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

/// With a pager, each sealed page is asked for before its first write, once, with its old content
/// in place.
pub fn pager(context: &mut Context) -> Outcome {
    pager_on(context, 0)
}

/// The same with the vCPU on another CPU.
pub fn pager_across(context: &mut Context) -> Outcome {
    if context.has_two_cpus() { pager_on(context, 1) } else { context.skip("one CPU") }
}

/// Sealing takes the pager with it; whom it may not name changes nothing; pages already written
/// count for the epoch before.
pub fn seal_with_pager(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let guest = Guest::new(context, &[(ENTRY, &[0xf4])])?;
    let (old, endpoint, reply) = (context.endpoint()?, context.endpoint()?, context.reply()?);
    let space = guest.space;
    space.set_pager(Some(old)).tried("set a pager")?;
    let epoch = space.seal().tried("seal")?;
    // In the epoch in which it was mapped, all of it counts as written.
    books(space, epoch - 1, true)?;
    let receiver = context.derive(endpoint, Rights::READ, 0)?;
    refuses(space.seal_for(receiver), Error::MissingRights, "a pager that cannot be called")?;
    refuses(space.seal_for(Cap::new(guest.memory.cptr())), Error::InvalidCapability, "a pager that is none")?;
    let pager = context.derive(endpoint, Rights::WRITE, 44)?;
    equal(space.seal_for(pager).tried("seal with a pager")?, epoch + 1, "the epoch")?;
    let frame = context.frame(12)?;
    Spawn::new(write_page, space.cptr(), frame.cptr()).start(context)?;
    let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(1000)).tried("be asked")?;
    equal((got.badge, got.words[0]), (44, 0x7000), "who is asked, and where")?;
    space.unseal(0x7000).tried("unseal")?;
    syscall::reply(reply.cptr(), Info::new(0, 0), [0; 4]).tried("reply")?;
    // The pager's endpoint goes: then nobody is asked, and the seal can be laid for another one.
    for cap in [endpoint.cptr(), receiver.cptr(), pager.cptr()] {
        context.node.delete(cap).tried("delete a capability to the pager")?;
    }
    space.seal_for(old).tried("seal when the pager's last capability is the space's")?;
    equal(books(space, epoch + 1, false)?, 1 << 7, "the books")
}

/// Writes a page of a guest; the error in cell 0, 1 in cell 1 at the end.
extern "C" fn write_page(space: u64, frame: u64) -> ! {
    let out = Cap::<GuestSpace>::new(space).write(0x7000, Cap::new(frame), 0, 8);
    set_cell(0, out.map_or_else(Error::number, |()| 0));
    set_cell(1, 1);
    done()
}

/// A vCPU that runs on another CPU, and a VMM that writes there, meet the seal that was laid beside
/// them: what is written after it is in the books of its epoch.
pub fn beside(context: &mut Context) -> Outcome {
    if !context.has_virtualization() || !context.has_two_cpus() {
        return context.skip("no virtualization, or one CPU");
    }
    // again: inc word [0x2000]; jmp again
    let mut guest = Guest::new(context, &[(ENTRY, &[0xff, 0x06, 0x00, 0x20, 0xeb, 0xfa])])?;
    guest.cpu.page_mut().deadline = u64::MAX;
    let frame = context.frame(12)?;
    Spawn::new(run_for_ever, guest.cpu.cap().cptr(), 0).cpu(1).start(context)?;
    Spawn::new(write_for_ever, guest.space.cptr(), frame.cptr()).cpu(1).start(context)?;
    let page = |context: &mut Context| -> Outcome<u16> {
        let low = guest.byte(context, 0x2000)?;
        Ok(u16::from(guest.byte(context, 0x2001)?) << 8 | u16::from(low))
    };
    for round in 0..100 {
        let epoch = guest.space.seal().tried("seal")?;
        let before = page(context)?;
        let end = time::after_ms(10_000);
        while page(context)? == before {
            // To read its memory stops every CPU; the guest needs time to write.
            context.sleep(1)?;
            ensure!(time::now() < end, "round {round}: the guest writes no more");
        }
        ensure!(
            books(guest.space, epoch, false)? & 1 << 2 != 0,
            "round {round}: a write that is not in the books"
        );
    }
    let end = time::after_ms(2000);
    while cell(2) < 100 && time::now() < end {
        context.sleep(1)?;
    }
    ensure!(cell(2) >= 100, "the VMM wrote {} times only", cell(2));
    equal(cell(3), 0, "writes that failed")
}

extern "C" fn run_for_ever(vcpu: u64, _: u64) -> ! {
    loop {
        let _ = syscall::vcpu_run(vcpu);
    }
}

/// Writes a page of a guest all the time; counts in cell 2, failures in cell 3.
extern "C" fn write_for_ever(space: u64, frame: u64) -> ! {
    loop {
        match Cap::<GuestSpace>::new(space).write(0x7000, Cap::new(frame), 0, 4096) {
            Ok(()) => count_cell(2),
            Err(_) => count_cell(3),
        }
    }
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

/// Large pages are split where they are written, and only there; without room for the split nothing
/// is written.
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
