// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of root: bring everything up, then answer requests and faults for ever.

use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use core::fmt::Arguments;

use abi::boot::{BootInfo, slot};
use abi::fault::Fault;
use abi::object::ObjectType;
use api::root::{FaultRecord, ProcessState, Root};
use rt::Cap;
use rt::cap::Thread;
use rt::ipc::{Event, FaultReport, Server};

use crate::failure::{Failure, Result};
use crate::system::{self, System};
use crate::watch::Watch;
use crate::{grant, requests};

/// Faults that are remembered.
const MAX_FAULTS: usize = 64;

/// The program.
pub fn main(boot: &'static BootInfo) {
    if let Err(Failure(reason)) = run(boot) {
        panic!("{reason}");
    }
}

fn run(boot: &'static BootInfo) -> Result<()> {
    let thread: Cap<Thread> = Cap::new(slot::THREAD);
    thread.set_schedule(u8::MAX, 0).map_err(crate::failure::core("set the priority"))?;
    let mut system = System::new(boot)?;
    let reply = Cap::new(system.estate.make_own(ObjectType::Reply, abi::PAGE_BITS)?);
    system.start();
    let mut server: Server<Root> = Server::new(system.endpoint, vec![reply]);
    let mut watch = Watch::new();
    let mut event = server.receive(watch.deadline());
    loop {
        for index in watch.look(&mut system.partitions, system.alive) {
            let most = system.partitions[index].spec.answers_within;
            failed(&mut system, index, "hangs", format_args!("no answer for {most} s"));
        }
        event = match event {
            Event::Request(badge, request) => {
                let reply = requests::answer(&mut system, badge, request);
                server.reply_receive(&reply, watch.deadline())
            }
            Event::Fault(report) => {
                // The dead get no answer that wakes them.
                server.answer_fault(false);
                handle_fault(&mut system, report);
                server.receive(watch.deadline())
            }
            Event::Notification(_) | Event::TimedOut => server.receive(watch.deadline()),
            Event::Failed(error) => return Err(Failure(format!("cannot receive: {error:?}"))),
        };
    }
}

fn handle_fault(system: &mut System, report: FaultReport) {
    let Some(index) = usize::try_from(report.badge).ok().and_then(|badge| badge.checked_sub(1)) else {
        return;
    };
    if index < system.partitions.len() {
        failed(system, index, "faulted", format_args!("{}", describe(report)));
    }
}

/// Starts a partition again that cannot go on, or ends it where that has come to nothing too often.
pub fn failed(system: &mut System, index: usize, how: &str, text: Arguments<'_>) {
    let partition = &mut system.partitions[index];
    let (name, text) = (partition.spec.name.clone(), text.to_string());
    system.journal.say(format_args!("root: {name} {how}: {text}"));
    let now = system::now_ms();
    system.faults.push_front(FaultRecord { name: name.clone(), at_ms: now, text: text.clone() });
    system.faults.truncate(MAX_FAULTS);
    if partition.may_restart(now) {
        restart(system, index);
        return;
    }
    end(system, index, ProcessState::Faulted(text));
    system.journal.say(format_args!("root: {name} stays down"));
}

/// Takes everything back from a partition, and lets its callers know that it stays down.
pub fn end(system: &mut System, index: usize, state: ProcessState) {
    let System { estate, partitions, journal, .. } = system;
    let partition = &mut partitions[index];
    partition.state = state;
    let ended = partition.tear_down(estate).and_then(|()| partition.close(estate));
    if let Err(Failure(reason)) = ended {
        journal.say(format_args!("root: {}: {reason}", partition.spec.name));
    }
    if journal.is_console(partition.doorbell) {
        // Without a console root speaks for itself again.
        let _ = system.take_serial_port();
    }
}

/// Takes everything back from a partition and builds it anew.
pub fn restart(system: &mut System, index: usize) {
    let System { estate, partitions, .. } = system;
    let partition = &mut partitions[index];
    let opened = partition.tear_down(estate).and_then(|()| partition.open(estate));
    partition.restarts += 1;
    let opened = opened.and_then(|closed| if closed { grant::again(system, index) } else { Ok(()) });
    match opened {
        Ok(()) => {
            system.start_one(index);
            system.give_serial_port();
            system.estate.look_away();
        }
        Err(Failure(reason)) => system.refuse(index, reason),
    }
}

fn describe(report: FaultReport) -> String {
    let [w0, w1, w2, w3] = report.words;
    match report.fault {
        Some(Fault::Page) => {
            let access = if w1 & 16 != 0 {
                "fetch from"
            } else if w1 & 2 != 0 {
                "write to"
            } else {
                "read of"
            };
            format!("{access} {w0:#x} at rip {w2:#x}, rsp {w3:#x}")
        }
        Some(Fault::Exception) if w0 == 6 => format!("stopped itself at rip {w2:#x}"),
        Some(Fault::Exception) => format!("exception {w0} (error {w1:#x}) at rip {w2:#x}, rsp {w3:#x}"),
        Some(Fault::SealedWrite) => format!("sealed page {w0:#x} has no pager"),
        None => String::from("unknown fault"),
    }
}
