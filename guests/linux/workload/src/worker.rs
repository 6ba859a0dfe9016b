// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes that work, as their parent sees them and as they are.
//!
//! A worker prints a line per second: `N`, the passes so far, or what failed. One hashes on one
//! CPU; the one that shares has a thread per CPU, all of which map and unmap memory of one address
//! space, so that CPUs have to tell each other to forget it.

use crate::{clocks, hash, system};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Between two passes: the guest shares a processor with others.
const REST: Duration = Duration::from_millis(4);
/// Between two lines.
const REPORT: Duration = Duration::from_secs(1);
/// Words that are mapped at a time.
const MAPPED_WORDS: usize = 1 << 13;
/// A worker that says nothing for so many rounds is stuck.
const PATIENCE: u32 = 30;

/// A worker process, seen by its parent.
pub struct Worker {
    name: String,
    lines: Receiver<String>,
    silent: u32,
    /// Passes that it has done.
    pub passes: u64,
}

impl Worker {
    /// Starts this program again, as `arguments` say.
    pub fn start(arguments: &[&str]) -> Result<Self, String> {
        let name = arguments.join(" ");
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: not started: {error}"))?;
        let (sender, lines) = channel();
        let output = child.stdout.take().ok_or("a worker has no output")?;
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines {
                if sender.send(line).is_err() {
                    break;
                }
            }
            let _ = sender.send(format!("ended: {:?}", child.wait()));
        });
        Ok(Self { name, lines, silent: 0, passes: 0 })
    }

    /// What it has said since the last round; an error if that was not a count, or if it has said
    /// nothing for long.
    pub fn listen(&mut self) -> Result<(), String> {
        self.silent += 1;
        loop {
            match self.lines.try_recv() {
                Ok(line) => {
                    let passes: u64 = line.parse().map_err(|_| format!("{}: {line}", self.name))?;
                    self.silent = if passes > self.passes { 0 } else { self.silent };
                    self.passes = passes;
                }
                Err(TryRecvError::Disconnected) => return Err(format!("{}: is gone", self.name)),
                Err(TryRecvError::Empty) if self.silent > PATIENCE => {
                    return Err(format!("{}: stuck at {} passes", self.name, self.passes));
                }
                Err(TryRecvError::Empty) => return Ok(()),
            }
        }
    }
}

/// Hashes on one CPU without end; returns what failed.
pub fn hash_on(cpu: usize) -> String {
    let mut words = vec![0; hash::WORDS];
    let mut passes = 0;
    let mut due = Instant::now();
    loop {
        let result = system::stay_on(cpu).and_then(|()| hash::pass(passes + cpu, &mut words));
        if let Err(what) = result {
            return what;
        }
        passes += 1;
        if Instant::now() >= due {
            println!("{passes}");
            due += REPORT;
        }
        std::thread::sleep(REST);
    }
}

/// Maps, uses and unmaps memory on all CPUs at once without end; returns what failed.
pub fn share(cpus: usize) -> String {
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let (sender, failures) = channel();
    for cpu in 0..cpus {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let what = loop {
                if let Err(what) = map_once(cpu) {
                    break what;
                }
                // A mere count: it orders nothing.
                PASSES.fetch_add(1, Relaxed);
                std::thread::sleep(REST);
            };
            sender.send(what)
        });
    }
    loop {
        if let Ok(what) = failures.recv_timeout(REPORT) {
            return what;
        }
        println!("{}", PASSES.load(Relaxed));
    }
}

/// Memory that is mapped anew is zero, whatever lay there before, and keeps what is written.
fn map_once(cpu: usize) -> Result<(), String> {
    system::stay_on(cpu)?;
    clocks::read()?;
    let mut mapping = system::Mapping::new(MAPPED_WORDS)?;
    let words = mapping.words();
    if let Some(word) = words.iter().find(|word| **word != 0) {
        return Err(format!("fresh memory holds {word:#x}"));
    }
    let mark = |at: usize| (cpu as u64 + 1) << 32 | at as u64;
    words.iter_mut().enumerate().for_each(|(at, word)| *word = mark(at));
    std::thread::yield_now();
    match words.iter().enumerate().find(|(at, word)| **word != mark(*at)) {
        Some((at, word)) => Err(format!("word {at} is {word:#x}")),
        None => Ok(()),
    }
}
