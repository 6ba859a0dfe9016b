// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread that computes on a CPU of its own, beside threads on every other CPU that do whatever
//! their capabilities allow.
//!
//! The attackers hold what the default manifest gives to any one service
//! (`services/root/src/grant.rs`), all of it at once, and share it, so that homes and registers
//! move between their CPUs. They are without what only root holds. What they cost the victim is
//! read from the core's counters: wall time says little under an emulator.

use abi::boot::{counter, slot};
use abi::message::Info;
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::syscall::FOREVER;
use alloc::format;
use rt::cap::{CNode, Cap, Endpoint, Frame, GuestSpace, Interrupt, Machine, Notification, Vcpu};
use rt::device::Line;
use rt::{syscall, time};

use crate::child::{CELLS, Spawn, cell, count_cell, done, set_cell};
use crate::context::{Context, say};
use crate::guest::{ENTRY, Guest};
use crate::outcome::{Outcome, Tried, equal};

/// Slots of the attackers' CSpace, by what they hold.
mod held {
    pub const OWN: u64 = 1;
    pub const REPLIES: [u64; 2] = [2, 3];
    pub const DOORBELL: u64 = 4;
    pub const BUSY: u64 = 5;
    pub const NOBODY: u64 = 6;
    pub const VCPU: u64 = 7;
    pub const GUEST: u64 = 8;
    pub const FRAME: u64 = 9;
    pub const LINE: u64 = 10;
    pub const MACHINE: u64 = 11;
    pub const OTHER_DOORBELL: u64 = 12;
}

/// What an attacker does in turn.
const ATTACKS: usize = 12;
/// Each of them was made so often at least.
const ENOUGH: u64 = 20;
/// Cell that ends the attack; those below count attacks.
const STOP: usize = 15;
/// Milliseconds of one measurement.
const MEASURED_MS: u64 = 400;

/// Takes a caller and keeps it waiting for ever, again and again with one Reply object after the
/// other.
extern "C" fn never_answers(endpoint: u64, reply: u64) -> ! {
    let _ = syscall::receive(endpoint, reply, FOREVER);
    loop {
        syscall::yield_now();
    }
}

extern "C" fn attack(first: u64, _: u64) -> ! {
    let mut round = first as usize;
    while cell(STOP) == 0 {
        let number = round % ATTACKS;
        one_attack(number, round);
        count_cell(number);
        round += 1;
    }
    done()
}

fn soon(round: usize) -> u64 {
    time::now() + time::tsc_khz() * (round as u64 % 16) / 1000
}

/// Whether an attack succeeds is nothing to it.
fn one_attack(number: usize, round: usize) {
    let message = Info::new(1, 1);
    let reply = held::REPLIES[round / ATTACKS % 2];
    let guest: Cap<GuestSpace> = Cap::new(held::GUEST);
    match number {
        0 => drop(syscall::call(held::BUSY, message, [0; 4], soon(round))),
        1 => drop(syscall::call(held::NOBODY, message, [0; 4], soon(round))),
        2 => drop(syscall::receive(held::OWN, reply, soon(round))),
        3 => drop(syscall::reply_receive(held::OWN, message, [0; 4], reply, 0)),
        4 => drop(syscall::vcpu_run(held::VCPU)),
        5 => vcpu(round),
        6 => drop(guest.seal()),
        7 => {
            let _ = guest.set_pager((round / ATTACKS % 2 == 0).then_some(Cap::new(held::NOBODY)));
            let _ = guest.set_pager(None);
        }
        8 => {
            let _ = guest.unseal((round as u64 % 256) << 12);
            let _ = guest.write((round as u64 % 256) << 12, Cap::new(held::FRAME), 0, 8);
        }
        9 => {
            let _ = syscall::signal(held::DOORBELL);
            let _ = syscall::signal(held::OTHER_DOORBELL);
            let _ = syscall::wait(held::DOORBELL, soon(round));
        }
        10 => refused(round),
        _ => syscall::yield_now(),
    }
}

fn vcpu(round: usize) {
    use abi::invocation::Invocation::{VcpuExport, VcpuImport};
    use abi::vcpu::group;
    let (label, groups) =
        if round / ATTACKS % 2 == 0 { (VcpuExport, group::ALL) } else { (VcpuImport, group::BASIC) };
    let _ = syscall::call4(held::VCPU, label as u32, [groups, 0, 0, 0]);
    let _ = Cap::<Vcpu>::new(held::VCPU).kick();
}

/// Invocations that need rights which no service holds.
fn refused(round: usize) {
    let frame: Cap<Frame> = Cap::new(held::FRAME);
    let line: Cap<Interrupt> = Cap::new(held::LINE);
    let machine: Cap<Machine> = Cap::new(held::MACHINE);
    let node: Cap<CNode> = Cap::new(held::GUEST);
    match round / ATTACKS % 8 {
        0 => drop(frame.unmap()),
        1 => drop(line.bind(Cap::new(held::OTHER_DOORBELL))),
        2 => drop(machine.interrupt(5, Line::Edge, node, 40)),
        3 => drop(machine.adopt(1 << 40, (ObjectType::Frame, 12), node, 40)),
        4 => drop(machine.surrender(frame)),
        5 => drop(machine.adopt_cpu(0, node, 40)),
        6 => drop(machine.init(200)),
        _ => drop(line.ack()),
    }
}

/// Makes the attackers' CSpace and what lies behind it.
fn arm(context: &mut Context) -> Outcome<Cap<CNode>> {
    let node: Cap<CNode> = Cap::new(context.make(ObjectType::CNode, 12)?);
    // A guest that exits all the time and writes a page in between: inc word [0x2000]; cpuid; jmp
    // back.
    let code = [0xff, 0x06, 0x00, 0x20, 0x0f, 0xa2, 0xeb, 0xf8];
    let guest = Guest::new(context, &[(ENTRY, &code)])?;
    let (busy, reply) = (context.endpoint()?, context.reply()?);
    Spawn::new(never_answers, busy.cptr(), reply.cptr()).cpu(1).priority(50).start(context)?;
    let line: Cap<Interrupt> = Cap::new(context.slot());
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    machine.interrupt(4, Line::Edge, context.node, line.cptr()).tried("make a line")?;
    let own: Cap<Endpoint> = context.endpoint()?;
    let (doorbell, other): (Cap<Notification>, _) = (context.notification()?, context.notification()?);
    let both = Rights::READ.or(Rights::WRITE);
    let gifts = [
        (own.cptr(), held::OWN, Rights::READ),
        (context.reply()?.cptr(), held::REPLIES[0], Rights::ALL),
        (context.reply()?.cptr(), held::REPLIES[1], Rights::ALL),
        (doorbell.cptr(), held::DOORBELL, both),
        (busy.cptr(), held::BUSY, Rights::WRITE),
        (context.endpoint()?.cptr(), held::NOBODY, Rights::WRITE),
        (guest.cpu.cap().cptr(), held::VCPU, Rights::WRITE.or(Rights::EXECUTE)),
        (guest.space.cptr(), held::GUEST, both.or(Rights::SEAL)),
        (context.frame(12)?.cptr(), held::FRAME, Rights::READ),
        (line.cptr(), held::LINE, Rights::WRITE),
        (machine.cptr(), held::MACHINE, Rights::WRITE),
        (other.cptr(), held::OTHER_DOORBELL, Rights::WRITE),
    ];
    for (source, place, rights) in gifts {
        node.mint(source, place, rights, 0).tried("give a capability to the attackers")?;
    }
    Ok(node)
}

/// What the core counts against the victim's CPU: stops of all CPUs, and interrupts by other CPUs.
fn disturbances() -> Outcome<(u64, u64)> {
    let machine: Cap<Machine> = Cap::new(slot::MACHINE);
    let stops = machine.counter(counter::RENDEZVOUS).tried("count stops")?;
    let interrupts = machine.counter(counter::DISTURBANCES).tried("count interrupts")?;
    Ok((stops, interrupts))
}

/// Computes for a while; how far it came.
fn compute() -> u64 {
    let end = time::after_ms(MEASURED_MS);
    let mut count = 0_u64;
    while time::now() < end {
        for _ in 0..100 {
            count = core::hint::black_box(count + 1);
        }
    }
    count
}

/// Attackers on all other CPUs neither stop nor interrupt the CPU of a thread that computes.
pub fn keeps_its_cpu(context: &mut Context) -> Outcome {
    if !context.has_virtualization() || !context.has_two_cpus() {
        return context.skip("no virtualization, or one CPU");
    }
    let node = arm(context)?;
    for cpu in 1..context.boot.cpu_count {
        Spawn { node: Some(node), ..Spawn::new(attack, cpu, 0) }.cpu(cpu).start(context)?;
    }
    // Until each has begun, so that their start is not counted.
    let begun = |number: &usize| cell(*number) > 0;
    while !(0..ATTACKS).all(|number| begun(&number)) {
        context.sleep(10)?;
    }
    let before = disturbances()?;
    for _ in 0..10 {
        compute();
        if (0..ATTACKS).all(|number| cell(number) >= ENOUGH) {
            break;
        }
    }
    let after = disturbances()?;
    set_cell(STOP, 1);
    for number in 0..ATTACKS {
        say(&format!("attack {number}: made {} times", cell(number)));
        ensure!(cell(number) >= ENOUGH, "attack {number} was made {} times only", cell(number));
    }
    equal((after.0 - before.0, after.1 - before.1), (0, 0), "stops of all CPUs, interrupts of the victim's")
}

/// Does nothing but execute.
extern "C" fn idle_about(_: u64, _: u64) -> ! {
    // Without PAUSE, by which a CPU of the emulator gives its turn away.
    let mut count = 0_u64;
    while cell(STOP) == 0 {
        count = core::hint::black_box(count + 1);
    }
    done()
}

/// How much of what it computes beside CPUs that are busy with themselves the victim computes
/// beside attackers, in percent.
pub fn share(context: &mut Context) -> Outcome {
    if !context.has_virtualization() || !context.has_two_cpus() {
        return context.skip("no virtualization, or one CPU");
    }
    for cpu in 1..context.boot.cpu_count {
        Spawn::new(idle_about, 0, 0).cpu(cpu).start(context)?;
    }
    context.sleep(10)?;
    let alone = compute();
    set_cell(STOP, 1);
    context.sleep(10)?;
    for cell in &CELLS {
        cell.store(0, core::sync::atomic::Ordering::SeqCst);
    }
    let node = arm(context)?;
    for cpu in 1..context.boot.cpu_count {
        Spawn { node: Some(node), ..Spawn::new(attack, cpu, 0) }.cpu(cpu).start(context)?;
    }
    context.sleep(10)?;
    let beside = compute();
    set_cell(STOP, 1);
    ensure!(cell(0) > 0, "nobody attacked");
    say(&format!("bench victim_share_percent {}", (beside * 100 / alone.max(1)).min(100)));
    Ok(())
}
