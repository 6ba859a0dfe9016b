// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual CPUs: every exit, with hand-made guests.

use abi::object::ObjectType;
use abi::vcpu::{Exit, access, event, gpr, group};
use rt::cap::{Cap, Notification, Vcpu};
use rt::{Error, syscall, time};

use crate::child::{Spawn, done};
use crate::context::Context;
use crate::guest::{ENTRY, Guest};
use crate::outcome::{Outcome, Tried, equal, refuses};

/// Boots a guest with this code at its entry and runs `check`, where there is virtualization.
fn with(context: &mut Context, code: &[u8], check: fn(&mut Context, &mut Guest) -> Outcome) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let mut guest = Guest::new(context, &[(ENTRY, code)])?;
    check(context, &mut guest)
}

/// CPUID, then HLT.
pub fn cpuid(context: &mut Context) -> Outcome {
    // mov eax, 7; cpuid; mov [0x2000], bx; hlt
    let code = [0x66, 0xb8, 7, 0, 0, 0, 0x0f, 0xa2, 0x89, 0x1e, 0x00, 0x20, 0xf4];
    with(context, &code, |context, guest| {
        guest.run_to(Exit::Cpuid)?;
        let page = guest.cpu.page_mut();
        equal((page.rip, page.gpr[gpr::RAX]), (ENTRY + 6, 7), "place and leaf")?;
        page.gpr[gpr::RBX] = 0xbeef;
        guest.skip(2);
        guest.run_to(Exit::Halt)?;
        equal(guest.cpu.page().rip, ENTRY + 12, "place of the HLT")?;
        equal(guest.byte(context, 0x2000)?, 0xef, "what the guest wrote")
    })
}

/// IN and OUT.
pub fn io(context: &mut Context) -> Outcome {
    // mov dx, 0x1234; in al, dx; out 0x80, ax; hlt
    let code = [0xba, 0x34, 0x12, 0xec, 0xe7, 0x80, 0xf4];
    with(context, &code, |_, guest| {
        guest.run_to(Exit::Io)?;
        let info = guest.cpu.page().info;
        equal((info[0], info[1], info[2]), (0x1234, 1 | 1 << 8, ENTRY + 4), "the IN")?;
        let page = guest.cpu.page_mut();
        page.gpr[gpr::RAX] = 0x42;
        page.rip = info[2];
        page.dirty |= group::BASIC;
        guest.run_to(Exit::Io)?;
        let page = guest.cpu.page_mut();
        equal((page.info[0], page.info[1]), (0x80, 2), "the OUT")?;
        equal(page.gpr[gpr::RAX] & 0xff, 0x42, "what was read")?;
        page.rip = page.info[2];
        page.dirty |= group::BASIC;
        guest.run_to(Exit::Halt)
    })
}

/// RDMSR, WRMSR, VMMCALL.
pub fn msr_and_hypercall(context: &mut Context) -> Outcome {
    // mov ecx, 0x1b; rdmsr; wrmsr; vmmcall; hlt
    let code = [0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x0f, 0x30, 0x0f, 0x01, 0xd9, 0xf4];
    with(context, &code, |_, guest| {
        guest.run_to(Exit::Msr)?;
        equal(guest.cpu.page().info[0], 0, "a read")?;
        equal(guest.cpu.page().gpr[gpr::RCX], 0x1b, "its number")?;
        guest.skip(2);
        guest.run_to(Exit::Msr)?;
        equal(guest.cpu.page().info[0], 1, "a write")?;
        guest.skip(2);
        guest.run_to(Exit::Hypercall)?;
        guest.skip(3);
        guest.run_to(Exit::Halt)
    })
}

/// An access to nothing, with address and kind.
pub fn memory(context: &mut Context) -> Outcome {
    // mov ax, 0xffff; mov ds, ax; mov [0x7ff0], al: physical 0xffff0 + 0x7ff0 = 0x107fe0, above the
    // MiB
    let code = [0xb8, 0xff, 0xff, 0x8e, 0xd8, 0xa2, 0xf0, 0x7f, 0xf4];
    with(context, &code, |_, guest| {
        guest.run_to(Exit::Memory)?;
        let page = guest.cpu.page();
        equal(page.info[0], 0x10_7fe0, "the address")?;
        equal(page.info[1] & (access::PRESENT | access::WRITE | access::FETCH), access::WRITE, "the access")?;
        equal(page.rip, ENTRY + 5, "the place")
    })
}

/// A guest that faults without handlers shuts down.
pub fn shutdown(context: &mut Context) -> Outcome {
    // lidt with limit 0, then int3
    let code = [0x0f, 0x01, 0x1e, 0x00, 0x20, 0xcc];
    with(context, &code, |_, guest| guest.run_to(Exit::Shutdown))
}

/// State that the processor refuses is refused, and nothing is harmed.
pub fn invalid_state(context: &mut Context) -> Outcome {
    with(context, &[0xf4], |_, guest| {
        guest.run_to(Exit::Halt)?;
        // Not-write-through without cache-disable (APM vol. 2, 15.5.1).
        for cr0 in [0x2000_0010, 1 << 32 | 0x10] {
            guest.cpu.export(group::SYSTEM).tried("export")?;
            guest.cpu.page_mut().cr0 = cr0;
            let imported = guest.cpu.import(group::SYSTEM);
            refuses(imported, Error::InvalidArgument, "importing it")?;
            guest.cpu.page_mut().dirty = group::SYSTEM;
            guest.run_to(Exit::InvalidState)?;
            guest.cpu.page_mut().cr0 = 0x10;
            guest.cpu.page_mut().dirty = group::SYSTEM;
            guest.run_to(Exit::Halt)?;
        }
        Ok(())
    })
}

/// A guest that never exits is stopped at the deadline, and goes on.
pub fn deadline(context: &mut Context) -> Outcome {
    // inc dword [0x2000]; jmp back
    let code = [0x66, 0xff, 0x06, 0x00, 0x20, 0xeb, 0xf9];
    with(context, &code, |context, guest| {
        for ms in [0, 5, 30] {
            guest.cpu.page_mut().deadline = time::after_ms(ms);
            let begun = time::now();
            let exit = guest.cpu.run().tried("run")?;
            let passed = (time::now() - begun) / time::tsc_khz();
            equal(exit, Exit::Deadline, "the exit")?;
            ensure!(passed >= ms && passed < ms + 500, "it ran for {passed} ms instead of {ms}");
        }
        let count = u32::from_le_bytes([
            guest.byte(context, 0x2000)?,
            guest.byte(context, 0x2001)?,
            guest.byte(context, 0x2002)?,
            guest.byte(context, 0x2003)?,
        ]);
        ensure!(count > 1000, "the guest counted to {count}");
        Ok(())
    })
}

/// A kick ends the run under way, or the next one.
pub fn kick(context: &mut Context) -> Outcome {
    with(context, &[0xeb, 0xfe], |context, guest| {
        guest.cpu.cap().kick().tried("kick")?;
        guest.run_to(Exit::Kicked)?;
        guest.cpu.page_mut().deadline = time::after_ms(10);
        equal(guest.cpu.run().tried("run")?, Exit::Deadline, "one kick ends one run")?;
        if context.has_two_cpus() {
            for _ in 0..20 {
                let vcpu = guest.cpu.cap().cptr();
                Spawn::new(kick_later, vcpu, time::after_ms(3)).cpu(1).start(context)?;
                guest.run_to(Exit::Kicked)?;
            }
        }
        Ok(())
    })
}

/// Kicks a vCPU once the TSC has reached `when`.
extern "C" fn kick_later(vcpu: u64, when: u64) -> ! {
    while time::now() < when {
        core::hint::spin_loop();
    }
    let vcpu: Cap<Vcpu> = Cap::new(vcpu);
    let _ = vcpu.kick();
    done()
}

/// The bound notification ends a run, from either CPU.
pub fn notification(context: &mut Context) -> Outcome {
    with(context, &[0xeb, 0xfe], |context, guest| {
        let bell = context.notification()?;
        let ring = context.derive(bell, abi::rights::Rights::WRITE, 64)?;
        context.thread.bind_notification(Some(bell)).tried("bind")?;
        ring.signal().tried("signal")?;
        guest.run_to(Exit::Notification)?;
        equal(guest.cpu.page().info[0], 64, "the word")?;
        guest.cpu.page_mut().deadline = time::after_ms(10);
        equal(guest.cpu.run().tried("run")?, Exit::Deadline, "one signal ends one run")?;
        for cpu in 0..context.boot.cpu_count.min(2) {
            let when = time::after_ms(3);
            Spawn::new(ring_later, ring.cptr(), when).cpu(cpu).priority(120).start(context)?;
            guest.run_to(Exit::Notification)?;
            equal(guest.cpu.page().info[0], 64, "the word")?;
        }
        Ok(())
    })
}

/// Signals a notification once the TSC has reached `when`.
extern "C" fn ring_later(bell: u64, when: u64) -> ! {
    while time::now() < when {
        core::hint::spin_loop();
    }
    let bell: Cap<Notification> = Cap::new(bell);
    let _ = bell.signal();
    done()
}

/// The VMM learns when an interrupt can be taken, injects it, and the guest's handler runs.
pub fn window_and_inject(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    // cli; hlt; sti; nop; nop; jmp self. Handler of vector 0x21: mov byte [0x2000], 0x5a; iret
    let code = [0xfa, 0xf4, 0xfb, 0x90, 0x90, 0xeb, 0xfe];
    let handler = [0xc6, 0x06, 0x00, 0x20, 0x5a, 0xcf];
    let vector = [0x00, 0x11, 0x00, 0x00];
    let mut guest = Guest::new(context, &[(ENTRY, &code), (0x1100, &handler), (0x21 * 4, &vector)])?;
    guest.run_to(Exit::Halt)?;
    equal(guest.cpu.page().interruptible, 0, "interruptible after CLI")?;
    guest.skip(1);
    guest.cpu.page_mut().want_window = 1;
    guest.run_to(Exit::Window)?;
    let page = guest.cpu.page_mut();
    equal(page.interruptible, 1, "interruptible at the window")?;
    ensure!(page.rip > ENTRY + 3, "the window opened in the shadow of STI, at {:#x}", page.rip);
    page.want_window = 0;
    page.inject = event::VALID | event::INTERRUPT | 0x21;
    page.deadline = time::after_ms(20);
    equal(guest.cpu.run().tried("run")?, Exit::Deadline, "the exit after the handler")?;
    equal(guest.cpu.page().inject, 0, "the injection was taken")?;
    equal(guest.byte(context, 0x2000)?, 0x5a, "what the handler wrote")
}

/// A vCPU without guest memory does not run; state survives export and import.
pub fn state(context: &mut Context) -> Outcome {
    if !context.has_virtualization() {
        return context.skip("no virtualization");
    }
    let bare: Cap<Vcpu> = Cap::new(context.make(ObjectType::Vcpu, 14)?);
    refuses(syscall::vcpu_run(bare.cptr()), Error::NotConfigured, "running a bare vCPU")?;
    with(context, &[0xf4], |_, guest| {
        let page = guest.cpu.page_mut();
        page.dr = [0x1111, 0x2222, 0x3333, 0x4444, 0xffff_0ff0, 0x400];
        page.lstar = 0x1234_5678;
        page.gpr[gpr::R15] = 0x1515;
        page.dirty = group::BASIC | group::SYSTEM | group::MSRS;
        guest.run_to(Exit::Halt)?;
        let page = guest.cpu.page_mut();
        (page.dr, page.lstar) = ([0; 6], 0);
        guest.cpu.export(group::ALL).tried("export")?;
        let page = guest.cpu.page();
        equal(&page.dr[..4], &[0x1111, 0x2222, 0x3333, 0x4444], "debug registers")?;
        equal((page.lstar, page.gpr[gpr::R15]), (0x1234_5678, 0x1515), "LSTAR and R15")?;
        guest.cpu.import(group::ALL).tried("import what was exported")
    })
}
