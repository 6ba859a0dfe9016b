// SPDX-License-Identifier: MIT OR Apache-2.0
//! Choosing a case, running it, telling the verdict.

use crate::context::Context;
use crate::{bench, cases};
use abi::boot::{BootInfo, slot};
use alloc::format;
use alloc::string::String;
use rt::cap::{Cap, PortRange};
use rt::serial::{COM1, Serial};

/// Port of the emulator's exit device; the values are the harness's.
const EXIT_PORT: u16 = 0xf4;
const PASSED: u32 = 0x10;
const FAILED: u32 = 0x11;

/// Why a case failed.
pub type Verdict = Result<(), String>;

/// A boot test.
pub struct Case {
    /// What the command line calls it.
    pub name: &'static str,
    /// The test.
    pub run: fn(&mut Context) -> Verdict,
}

/// The root service.
pub fn main(info: &'static BootInfo) {
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    let serial = Serial::new(ports, COM1);
    let line = core::str::from_utf8(&info.command_line[..info.command_line_len as usize]).unwrap_or("");
    let wanted = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("case="));
    let all = || cases::all().chain(bench::all());
    let Some(wanted) = wanted.filter(|name| *name != "list") else {
        for case in all() {
            serial.write(format!("case {}\n", case.name).as_bytes());
        }
        return finish(line, true);
    };
    let mut context = Context::new(info, serial);
    let verdict = match all().find(|case| case.name == wanted) {
        Some(case) => (case.run)(&mut context),
        None => Err(String::from("no such case; boot with case=list")),
    };
    let text = match &verdict {
        Ok(()) => format!("case {wanted}: ok\n"),
        Err(reason) => format!("case {wanted}: FAILED {reason}\n"),
    };
    serial.write(text.as_bytes());
    finish(line, verdict.is_ok());
}

fn finish(line: &str, passed: bool) {
    let ports: Cap<PortRange> = Cap::new(slot::PORTS);
    if !line.split_ascii_whitespace().any(|word| word == "no-debug-exit") {
        let _ = ports.out32(EXIT_PORT, if passed { PASSED } else { FAILED });
    }
    loop {
        let _ = rt::syscall::wait(0, abi::syscall::FOREVER);
        rt::syscall::yield_now();
    }
}
