// SPDX-License-Identifier: MIT OR Apache-2.0
//! `console`: the console of a VM, on this terminal.

use std::io;
use std::time::{Duration, Instant};

use api::vmm::MAX_CONSOLE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use serde::Serialize;

use super::Output;
use crate::{ConsoleArguments, Failure, System, text};

/// ^]
const ESCAPE: u8 = 0x1d;
/// How much of the earlier output is shown: enough to see the prompt.
const BEFORE: u64 = 512;
/// Between two looks at the VM's output.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 60_000_000 };
/// After the end of the input, output is shown until there is none for so long.
const QUIET: Duration = Duration::from_millis(1500);

#[derive(Serialize)]
struct Kept {
    vm: String,
    start: u64,
    text: String,
}

/// The command. With JSON, what the VM still has of its output.
pub fn console(
    system: &mut System,
    wanted: &ConsoleArguments,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let vm = wanted.vm.as_str();
    if output.json {
        return kept(system, vm, output);
    }
    let end = system.status(vm)?.console_end;
    let cursor = if wanted.until.is_some() {
        end
    } else if wanted.all {
        0
    } else {
        end.saturating_sub(BEFORE)
    };
    let stdin = io::stdin();
    let raw = isatty(&stdin).then(|| {
        eprintln!("Connected to VM '{vm}'. Escape character is ^] (Ctrl + ])");
        Raw::enter()
    });
    system.watch(true);
    let ends = wanted.until.as_ref().map(|text| Until::new(text, wanted.timeout));
    let done = talk(system, vm, cursor, ends, output);
    drop(raw);
    eprintln!();
    done
}

/// What the output is looked through for.
struct Until<'a> {
    text: &'a str,
    timeout: Option<Duration>,
    begun: Instant,
    seen: Vec<u8>,
}

impl<'a> Until<'a> {
    fn new(text: &'a str, timeout_s: Option<u64>) -> Self {
        Self { text, timeout: timeout_s.map(Duration::from_secs), begun: Instant::now(), seen: Vec::new() }
    }

    /// Whether the text is in these bytes, the end of earlier ones before them.
    fn is_in(&mut self, bytes: &[u8]) -> bool {
        let text = self.text.as_bytes();
        self.seen.extend_from_slice(bytes);
        let found = text.is_empty() || self.seen.windows(text.len()).any(|part| part == text);
        let old = self.seen.len().saturating_sub(text.len());
        self.seen.drain(..old);
        found
    }

    /// An error when the time is over.
    fn in_time(&self) -> Result<(), Failure> {
        match self.timeout {
            Some(timeout) if self.begun.elapsed() > timeout => Err(Failure::refused(format!(
                "'{}' did not come within {} s",
                text::plain(self.text),
                timeout.as_secs()
            ))),
            _ => Ok(()),
        }
    }
}

fn kept(system: &mut System, vm: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    let (start, mut bytes) = system.console_read(vm, 0)?;
    let mut last = bytes.len();
    while last > 0 {
        let (_, more) = system.console_read(vm, start + bytes.len() as u64)?;
        last = more.len();
        bytes.extend(more);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    output.json(&Kept { vm: vm.to_owned(), start, text })
}

/// Carries bytes in both directions until ^], or until the input has ended and the output is quiet.
fn talk(
    system: &mut System,
    vm: &str,
    mut cursor: u64,
    mut until: Option<Until<'_>>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut ended: Option<Instant> = None;
    let mut typed: Vec<u8> = Vec::new();
    loop {
        let mut news = false;
        loop {
            let (start, bytes) = system.console_read(vm, cursor)?;
            if bytes.is_empty() {
                break;
            }
            cursor = start.saturating_add(bytes.len() as u64);
            // A terminal that is stopped keeps only this tool waiting.
            system.release();
            output.out.write_all(&bytes)?;
            output.out.flush()?;
            news = true;
            if until.as_mut().is_some_and(|until| until.is_in(&bytes)) {
                return Ok(());
            }
        }
        system.release();
        until.as_ref().map_or(Ok(()), Until::in_time)?;
        match ended {
            Some(_) if news || !typed.is_empty() => ended = Some(Instant::now()),
            Some(since) if until.is_none() && since.elapsed() > QUIET => return Ok(()),
            _ => {}
        }
        if ended.is_some() || typed.len() > MAX_CONSOLE {
            std::thread::sleep(Duration::from_millis(30));
        } else {
            match input(&mut typed)? {
                Input::Some => {}
                Input::End => ended = Some(Instant::now()),
                Input::Escape => return Ok(()),
            }
        }
        if !typed.is_empty() {
            // The VM takes as much as it has room for; the rest waits.
            let part = &typed[..typed.len().min(MAX_CONSOLE)];
            let taken = system.console_write(vm, part)?;
            typed.drain(..taken);
        }
    }
}

enum Input {
    Some,
    End,
    Escape,
}

/// Waits a moment for input.
fn input(typed: &mut Vec<u8>) -> Result<Input, Failure> {
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut ready, Some(&GLANCE)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Input::Some),
        Ok(_) => {}
        Err(error) => return Err(Failure::refused(format!("cannot read the terminal: {error}"))),
    }
    let mut bytes = [0; 256];
    // Not through the buffer of `Stdin`, which `poll` does not see.
    let count = match rustix::io::read(&stdin, &mut bytes) {
        Ok(count) => count,
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(Input::Some),
        Err(error) => return Err(Failure::refused(format!("cannot read the terminal: {error}"))),
    };
    let bytes = &bytes[..count];
    if bytes.is_empty() {
        return Ok(Input::End);
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == ESCAPE) {
        typed.extend_from_slice(&bytes[..at]);
        return Ok(Input::Escape);
    }
    typed.extend_from_slice(bytes);
    Ok(Input::Some)
}

/// The terminal without line editing and echo, until this is dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
