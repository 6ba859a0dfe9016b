// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMMs and guests that do what none should.

use abi::object::ObjectType;
use abi::vcpu::{Exit, group};
use rt::cap::{Cap, Thread, Vcpu};
use rt::{Error, scratch, syscall, time};

use crate::child::{Spawn, cell, count_cell, done, set_cell};
use crate::context::{Context, PRIORITY};
use crate::guest::{ENTRY, Guest};
use crate::outcome::{Outcome, Tried, equal};

/// Runs a vCPU again and again, whoever else does; counts good runs in cell `place`, refusals in
/// the next, the rest in cell 8.
extern "C" fn run_for_ever(vcpu: u64, place: u64) -> ! {
    loop {
        match syscall::vcpu_run(vcpu) {
            Ok(()) => count_cell(place as usize),
            Err(Error::Busy) => count_cell(place as usize + 1),
            Err(_) => count_cell(8),
        }
    }
}

/// Calls that time out at once, so that a CPU ends waits while it lets interrupts in.
extern "C" fn call_in_vain(endpoint: u64, _: u64) -> ! {
    loop {
        let deadline = time::now() + time::tsc_khz() / 20;
        let _ = syscall::call(endpoint, abi::message::Info::new(1, 0), [0; 4], deadline);
    }
}

/// Several CPUs run one vCPU, export it and import it, all at once, beside calls that time out on
/// these CPUs.
pub fn one_vcpu_everywhere(context: &mut Context) -> Outcome {
    if !context.has_virtualization() || !context.has_two_cpus() {
        return context.skip("no virtualization, or one CPU");
    }
    // again: cpuid; jmp again
    let mut guest = Guest::new(context, &[(ENTRY, &[0x0f, 0xa2, 0xeb, 0xfc])])?;
    guest.run_to(Exit::Cpuid)?;
    guest.cpu.page_mut().deadline = u64::MAX;
    let vcpu = guest.cpu.cap();
    let runners = (context.boot.cpu_count - 1).min(3);
    for place in 0..runners {
        Spawn::new(run_for_ever, vcpu.cptr(), 2 * place).cpu(1 + place).start(context)?;
    }
    let nobody = context.endpoint()?;
    for cpu in 0..=runners {
        Spawn::new(call_in_vain, nobody.cptr(), 0).cpu(cpu).start(context)?;
    }
    let (mut moved, mut refused) = (0, 0);
    let end = time::after_ms(3000);
    while time::now() < end {
        for out in [guest.cpu.export(group::ALL), guest.cpu.import(group::ALL)] {
            match out {
                Ok(()) => moved += 1,
                Err(Error::Busy | Error::InvalidArgument) => refused += 1,
                Err(error) => return Err(alloc::format!("export and import: {error:?}")),
            }
        }
        let _ = vcpu.kick();
    }
    ensure!(moved > 0, "its state could never be had ({refused} times refused)");
    let runs: u64 = (0..runners).map(|place| cell(2 * place as usize)).sum();
    ensure!(runs > 0, "nobody could run it");
    equal(cell(8), 0, "errors other than Busy")
}

/// Runs a vCPU to its next exit; 1 in cell 1 at the end.
extern "C" fn run_once(vcpu: u64, _: u64) -> ! {
    let _ = syscall::vcpu_run(vcpu);
    set_cell(1, 1);
    done()
}

extern "C" fn count(index: u64, _: u64) -> ! {
    loop {
        count_cell(index as usize);
    }
}

/// A guest that never exits takes turns with the threads that have its VMM's priority.
pub fn guest_takes_turns(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    // jmp self
    let mut guest = Guest::new(context, &[(ENTRY, &[0xeb, 0xfe])])?;
    guest.cpu.page_mut().deadline = time::after_ms(300);
    Spawn::new(run_once, guest.cpu.cap().cptr(), 0).priority(PRIORITY - 10).start(context)?;
    Spawn::new(count, 0, 0).priority(PRIORITY - 10).start(context)?;
    let mut counted = 0;
    for _ in 0..1000 {
        context.sleep(1)?;
        if cell(1) != 0 {
            break;
        }
        counted = cell(0);
    }
    equal(cell(1), 1, "ends of the run")?;
    ensure!(counted > 0, "the other thread never had a turn while the guest ran");
    Ok(())
}

/// A guest that traces itself gets its exceptions, though the core intercepts them.
pub fn traced_guest(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    // pushf; pop ax; or ax, TF; push ax; popf; nop x 3; pushf; pop ax; and ax, !TF; push ax; popf;
    // hlt: eight steps are traced
    let code = [
        0x9c, 0x58, 0x0d, 0x00, 0x01, 0x50, 0x9d, 0x90, 0x90, 0x90, 0x9c, 0x58, 0x25, 0xff, 0xfe, 0x50, 0x9d,
        0xf4,
    ];
    // inc byte [0x2000]; iret
    let handler = [0xfe, 0x06, 0x00, 0x20, 0xcf];
    let vector = [0x00, 0x11, 0x00, 0x00];
    let mut guest = Guest::new(context, &[(ENTRY, &code), (0x1100, &handler), (4, &vector)])?;
    guest.run_to(Exit::Halt)?;
    equal(guest.cpu.page().rip, ENTRY + 17, "place of the HLT")?;
    equal(guest.byte(context, 0x2000)?, 8, "exceptions")
}

/// Writes a page of a guest; the error in cell 0, 1 in cell 1 at the end.
extern "C" fn write_guest(space: u64, frame: u64) -> ! {
    let space: Cap<rt::cap::GuestSpace> = Cap::new(space);
    let out = space.write(0x7000, Cap::new(frame), 0, 8);
    set_cell(0, out.map_or_else(Error::number, |()| 0));
    set_cell(1, 1);
    done()
}

/// A pager dies while it is asked: who asked goes on.
pub fn pager_dies(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let guest = Guest::new(context, &[(ENTRY, &[0xf4])])?;
    let frame = context.frame(12)?;
    scratch::with_frame(frame, |bytes| bytes.fill(0x42)).tried("fill")?;
    for cpu in 0..context.boot.cpu_count.min(2) {
        let (endpoint, reply) = (context.endpoint()?, context.reply()?);
        guest.space.set_pager(Some(endpoint)).tried("set the pager")?;
        guest.space.seal().tried("seal")?;
        set_cell(1, 0);
        Spawn::new(write_guest, guest.space.cptr(), frame.cptr()).cpu(cpu).start(context)?;
        let got = syscall::receive(endpoint.cptr(), reply.cptr(), time::after_ms(2000)).tried("be asked")?;
        ensure!(got.info.is_fault(), "a message that is no fault");
        guest.space.set_pager(None).tried("no pager")?;
        context.node.delete(reply.cptr()).tried("delete the Reply object")?;
        for _ in 0..1000 {
            if cell(1) == 1 {
                break;
            }
            context.sleep(1)?;
        }
        equal((cell(1), cell(0)), (1, 0), "the write")?;
        equal(guest.byte(context, 0x7000)?, 0x42, "what was written")?;
    }
    Ok(())
}

/// A VMM thread is moved from CPU to CPU and stopped while its guest runs.
pub fn moving_vmm(context: &mut Context) -> Outcome {
    if !context.has_virtualization() || !context.has_two_cpus() {
        return context.skip("no virtualization, or one CPU");
    }
    // again: inc dword [0x2000]; cpuid; jmp again
    let code = [0x66, 0xff, 0x06, 0x00, 0x20, 0x0f, 0xa2, 0xeb, 0xf7];
    let mut guest = Guest::new(context, &[(ENTRY, &code)])?;
    guest.cpu.page_mut().deadline = u64::MAX;
    let vcpu: Cap<Vcpu> = guest.cpu.cap();
    let thread: Cap<Thread> = Spawn::new(step_for_ever, vcpu.cptr(), 0).cpu(1).start(context)?;
    for round in 0..500 {
        thread.suspend().tried("suspend")?;
        thread.set_cpu(context.cpu(round % context.boot.cpu_count)).tried("move")?;
        thread.start().tried("start")?;
        thread.set_cpu(context.cpu(1)).tried("move")?;
        if round % 50 == 0 {
            context.sleep(1)?;
        }
    }
    context.sleep(100)?;
    equal(cell(8), 0, "runs that failed")?;
    ensure!(cell(0) > 0, "the guest never ran");
    context.node.delete(vcpu.cptr()).tried("delete the vCPU that runs")?;
    context.sleep(20)?;
    let slot = context.slot();
    context.pool.retype(ObjectType::Vcpu, 14, 1, context.node, slot).tried("another vCPU")
}

/// Runs a vCPU, counts exits in cell 0 and failures in cell 8.
extern "C" fn step_for_ever(vcpu: u64, _: u64) -> ! {
    while syscall::vcpu_run(vcpu) != Err(Error::InvalidCapability) {
        count_cell(0);
    }
    done()
}
