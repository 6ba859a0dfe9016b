// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random system calls: whatever a thread asks, the core answers it and goes on.
//!
//! The thread has a CSpace of its own. Where a call blocks for ever, the case takes the thread out
//! of it from outside, which is a test too. `count=N` on the command line sets the number of calls,
//! `seed=N` where the random numbers begin. Where each rendezvous of CPUs costs a host's time
//! slice, a million calls take too long: the storm also ends after a while, if it has made enough
//! calls by then.

use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;
use abi::syscall::Syscall;
use rt::cap::{CNode, Cap, Thread, Untyped};
use rt::{syscall, time};

use crate::child::{Spawn, cell, count_cell, set_cell};
use crate::context::{Context, say};
use crate::outcome::{Outcome, Tried};
use crate::random::Random;

/// Calls without `count=`.
const CALLS: u64 = 1_000_000;
/// Calls between two renewals of a rich CSpace.
const RENEWAL: u64 = 20_000;
/// Milliseconds after which [`ENOUGH`] calls will do.
const PATIENCE_MS: u64 = 60_000;
/// See [`PATIENCE_MS`].
const ENOUGH: u64 = 10_000;
/// Calls between two lines that say how far it is.
const PROGRESS: u64 = 100_000;
/// Slots of the thread's CSpace.
const SLOTS: u64 = 64;
/// Cells: calls made, state of the random numbers.
const MADE: usize = 0;
const STATE: usize = 1;

/// Values that break things.
const EDGES: [u64; 24] = [
    0,
    1,
    2,
    4,
    7,
    8,
    12,
    63,
    64,
    0xfff,
    0x1000,
    0x1001,
    0x20_0000,
    0x4000_0000,
    0x1000_0000_0000,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 0xfff,
    u64::MAX - 1,
    u64::MAX,
];

fn word(random: &mut Random) -> u64 {
    match random.below(8) {
        0..4 => random.below(SLOTS),
        4 => random.pick(&EDGES),
        // What UntypedRetype takes: type, size, count.
        5 => random.below(15) | (12 + random.below(5)) << 8 | random.below(4) << 16,
        6 => random.below(512) << 12,
        _ => random.next() >> random.below(64),
    }
}

fn info(random: &mut Random) -> u64 {
    let label = match random.below(8) {
        0 => random.next() as u32,
        _ => {
            let index = random.below(Invocation::ALL.len() as u64) as usize;
            Invocation::ALL.get(index).map_or(0, |&invocation| invocation as u32)
        }
    };
    let low = if random.below(4) == 0 { random.next() & 0xffff_ffff } else { random.below(8) };
    u64::from(label) << 32 | low
}

/// Makes random system calls for ever.
extern "C" fn storm(_: u64, _: u64) -> ! {
    let mut random = Random(cell(STATE));
    loop {
        let number = if random.below(16) == 0 { word(&mut random) } else { random.below(8) };
        // Most calls are invocations: they have most to get wrong.
        let number = if random.below(2) == 0 { Syscall::Call as u64 } else { number };
        let cap = if random.below(16) == 0 { word(&mut random) } else { random.below(SLOTS) };
        let words = [(); 4].map(|()| word(&mut random));
        let info = info(&mut random);
        let reply = random.below(SLOTS);
        let deadline = match random.below(4) {
            0 => time::now() + random.below(100_000),
            1 => word(&mut random) & !(1 << 63),
            _ => 0,
        };
        set_cell(STATE, random.0);
        count_cell(MADE);
        let _ = syscall::raw(number, cap, info, words, reply, deadline);
    }
}

/// A CSpace for the thread: empty, or with an object of each kind, made of `memory`.
fn fill(context: &mut Context, node: Cap<CNode>, memory: Cap<Untyped>) -> Outcome {
    context.node.revoke(memory.cptr()).tried("take back the memory")?;
    for slot in 1..SLOTS {
        node.delete(slot).tried("empty a slot")?;
    }
    let mut objects = alloc::vec![
        (ObjectType::Untyped, 16),
        (ObjectType::Untyped, 14),
        (ObjectType::CNode, 12),
        (ObjectType::Thread, 12),
        (ObjectType::Thread, 12),
        (ObjectType::Endpoint, 12),
        (ObjectType::Endpoint, 12),
        (ObjectType::Reply, 12),
        (ObjectType::Reply, 12),
        (ObjectType::Notification, 12),
        (ObjectType::Notification, 12),
        (ObjectType::Frame, 12),
        (ObjectType::Frame, 12),
        (ObjectType::Frame, 14),
        (ObjectType::HostSpace, 14),
        (ObjectType::HostSpace, 15),
    ];
    if context.has_virtualization() {
        objects.extend([(ObjectType::GuestSpace, 14), (ObjectType::GuestSpace, 15)]);
        objects.extend([(ObjectType::Vcpu, 14), (ObjectType::Frame, 15)]);
    }
    for (slot, (object, bits)) in (1..).zip(objects) {
        memory.retype(object, bits, 1, node, slot).tried("fill the CSpace")?;
    }
    // A port that does nothing, and a CPU to run threads on. (MANAGE of it would be leave to stop
    // it: a right of who has the machine.)
    let ports: Cap<rt::cap::PortRange> = Cap::new(abi::boot::slot::PORTS);
    ports.narrow(0x80, 0x80, node, SLOTS - 1).tried("narrow")?;
    let cpu = context.cpu(context.boot.cpu_count - 1);
    let rights = Rights::READ.or(Rights::EXECUTE);
    node.mint(cpu.cptr(), SLOTS - 2, rights, 0).tried("a CPU")
}

/// Lets the storm blow until it has made its calls.
fn blow(context: &mut Context, memory: Option<Cap<Untyped>>, node: Cap<CNode>) -> Outcome {
    let calls = context.option("count").and_then(|count| count.parse().ok()).unwrap_or(CALLS);
    set_cell(STATE, context.option("seed").and_then(|seed| seed.parse().ok()).unwrap_or(1));
    let mut spawn = Spawn::new(storm, 0, 0).priority(50);
    spawn.node = Some(node);
    let thread = spawn.make(context)?;
    let registers = spawn.registers();
    let end = time::after_ms(PATIENCE_MS);
    let mut renewed = 0;
    let mut said = 0;
    let mut before = u64::MAX;
    loop {
        let made = cell(MADE);
        if made >= calls || (made >= ENOUGH && time::now() > end) {
            say(&alloc::format!("{made} calls made"));
            break;
        }
        if made / PROGRESS != said {
            said = made / PROGRESS;
            say(&alloc::format!("{made} calls, random state {:#x}", cell(STATE)));
        }
        if let Some(memory) = memory.filter(|_| made == 0 || made - renewed > RENEWAL) {
            thread.suspend().tried("stop the storm")?;
            fill(context, node, memory)?;
            renewed = made;
            before = made;
        }
        if made == before {
            rescue(thread, registers)?;
        }
        before = made;
        context.sleep(3)?;
    }
    thread.suspend().tried("stop the storm")
}

/// Takes the thread out of a call that does not end (or starts it).
fn rescue(thread: Cap<Thread>, registers: rt::thread::Start) -> Outcome {
    thread.suspend().tried("stop the thread")?;
    thread.write_registers(registers).tried("set its registers")?;
    thread.start().tried("start it again")
}

/// From a thread that has nothing.
pub fn empty(context: &mut Context) -> Outcome {
    let node: Cap<CNode> = Cap::new(context.make(ObjectType::CNode, 12)?);
    blow(context, None, node)?;
    super::endpoint::call(context)
}

/// From a thread that has objects of every kind to play with.
pub fn rich(context: &mut Context) -> Outcome {
    let node: Cap<CNode> = Cap::new(context.make(ObjectType::CNode, 12)?);
    let memory = context.untyped(20)?;
    blow(context, Some(memory), node)?;
    context.node.revoke(memory.cptr()).tried("take back the memory")?;
    super::endpoint::call(context)
}
