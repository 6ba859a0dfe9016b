// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the command line to the verdict.

use alloc::format;

use abi::boot::{BootInfo, slot};
use rt::Cap;
use rt::cap::PortRange;

use crate::cases::CASES;
use crate::context::{self, Context, PRIORITY, option, say, words};
use crate::outcome::Tried;

/// The debug exit port of the emulator.
const EXIT_PORT: u16 = 0xf4;
const PASSED: u32 = 0x10;
const FAILED: u32 = 0x11;

/// The program.
pub fn main(boot: &'static BootInfo) {
    rt::log::set_sink(failed);
    let name = option(boot, "case").unwrap_or("");
    let passed = if name == "list" { list() } else { run(boot, name) };
    end(boot, passed);
}

/// Names of all cases.
fn list() -> bool {
    for case in CASES {
        say(&format!("case {}", case.name));
    }
    true
}

fn run(boot: &'static BootInfo, name: &str) -> bool {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        say(&format!("case {name}: FAILED there is no such case"));
        return false;
    };
    let Some(mut context) = Context::new(boot) else {
        say(&format!("case {name}: FAILED no memory was given"));
        return false;
    };
    let scheduled = context.thread.set_schedule(PRIORITY, 0).tried("set the priority");
    let outcome = scheduled.and_then(|()| (case.run)(&mut context));
    match (&outcome, context.skipped) {
        (Ok(()), None) => say(&format!("case {name}: ok")),
        (Ok(()), Some(reason)) => say(&format!("case {name}: ok (not here: {reason})")),
        (Err(reason), _) => say(&format!("case {name}: FAILED {reason}")),
    }
    outcome.is_ok()
}

/// Ends the machine; without the debug exit port, just stops.
fn end(boot: &'static BootInfo, passed: bool) -> ! {
    if !words(boot).any(|word| word == "no-debug-exit") {
        exit(passed);
    }
    let never: Cap<rt::cap::Notification> = Cap::new(0);
    loop {
        let _ = never.wait(abi::syscall::FOREVER);
        rt::syscall::yield_now();
    }
}

fn exit(passed: bool) {
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    let _ = ports.out32(EXIT_PORT, if passed { PASSED } else { FAILED });
}

/// A panic of the suite.
fn failed(text: &str) {
    context::say(&format!("case: FAILED panic: {text}"));
    exit(false);
}
