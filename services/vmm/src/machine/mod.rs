// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of one VM.
//!
//! Owns the machine's parts and its state: running, paused, stopped, failed. [`Machine::step`] lets a vCPU run until its next
//! exit and answers it; between two steps the program serves requests ([`Machine::request`]). Starting is in `start`, what
//! goes before an entry in `entry`, whose turn it is in `turn`, requests in `request`, checkpoints in [`crate::checkpoint`], the way to another hypervisor in [`crate::handover`]. System calls are behind
//! [`Outside`], memory and vCPUs behind their traits, so that a machine runs in a test as well.

mod effect;
mod entry;
mod request;
mod start;
mod turn;

pub(crate) use start::settings;
use turn::Turn;

use crate::console::Console;
use crate::device::board::Board;
use crate::exit::{self, Crash, Outcome, Site};
use crate::handover::Handover;
use crate::memory::GuestMemory;
use crate::platform::cpuid::Leaf;
use crate::vcpu::{Vcpu, flag};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use api::environment::VmKind;
use core::fmt;

/// What the machine needs of the world outside.
pub trait Outside {
    /// The host's TSC.
    fn now(&mut self) -> u64;

    /// Puts a line into the log.
    fn log(&mut self, line: fmt::Arguments<'_>);

    /// Begins a checkpoint; returns its id.
    ///
    /// # Errors
    /// [`StoreError`], and there is no checkpoint.
    fn begin(&mut self) -> Result<u64, StoreError>;

    /// Gives the typed state of a checkpoint that has begun, and seals the guest's memory.
    ///
    /// # Errors
    /// [`StoreError`], and there is no checkpoint.
    fn commit(&mut self, id: u64, state: &[u8]) -> Result<(), StoreError>;

    /// The typed state of a checkpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    fn state(&mut self, id: u64) -> Result<Vec<u8>, StoreError>;

    /// Brings guest memory back to a checkpoint.
    ///
    /// # Errors
    /// [`StoreError`]; memory is as it was unless [`StoreError::Torn`].
    fn restore(&mut self, id: u64) -> Result<(), StoreError>;

    /// Says that guest memory has nothing to do any more with what was there before.
    fn attach(&mut self);

    /// How many checkpoints may still be created.
    ///
    /// # Errors
    /// [`StoreError`].
    fn quota(&mut self) -> Result<u32, StoreError>;

    /// Whether guest memory is still being copied for this checkpoint.
    fn is_copying(&mut self, id: u64) -> bool;

    /// Copies out of the handover window; false where there is none, or the bytes do not all lie in
    /// it.
    fn read_handover(&mut self, offset: u64, into: &mut [u8]) -> bool;

    /// Copies into the handover window; false as above.
    fn write_handover(&mut self, offset: u64, bytes: &[u8]) -> bool;
}

/// Why the checkpoint service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The quota is used up, or the store is full.
    QuotaExhausted,
    /// There is no such checkpoint.
    NoCheckpoint,
    /// It is not there, or busy.
    Unavailable(String),
    /// Memory has been changed in part: the VM cannot go on.
    Torn(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::QuotaExhausted => f.write_str("the quota of checkpoints, or the store, is used up"),
            StoreError::NoCheckpoint => f.write_str("there is no such checkpoint"),
            StoreError::Unavailable(why) => write!(f, "the checkpoint service: {why}"),
            StoreError::Torn(why) => write!(f, "restored in part only: {why}"),
        }
    }
}

/// What a VM is made of and how it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name.
    pub name: String,
    /// How it is loaded.
    pub kind: VmKind,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// Ticks of the TSC per millisecond.
    pub tsc_khz: u64,
    /// Command line.
    pub command_line: String,
    /// Kernel image, or ELF of a small guest.
    pub kernel: &'static [u8],
    /// Initial RAM disk.
    pub initrd: &'static [u8],
    /// Token of the hypercalls.
    pub token: [u8; 16],
    /// Checkpoints that the token is good for.
    pub quota: u32,
}

/// What a VM is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its vCPUs run.
    Running,
    /// Its vCPUs are stopped and can go on.
    Paused,
    /// It has ended, or has not begun.
    Stopped,
    /// It cannot go on, and why.
    Failed(String),
}

/// What one vCPU is doing while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It executes.
    Running,
    /// It waits in HLT for an interrupt.
    Halted,
    /// It waits to be started by another.
    WaitingForStartup,
}

/// A vCPU and what the core does not keep of it.
pub struct Processor<V> {
    /// The vCPU.
    pub vcpu: V,
    /// What it is doing.
    pub activity: Activity,
    /// Whether an NMI waits.
    pub nmi: bool,
    /// Whether it is stopped here for, or not yet here from, another hypervisor.
    pub(crate) away: bool,
    /// Of one that has been taken over and has not run since: host TSC of its last exit before.
    pub(crate) since: Option<u64>,
}

/// What the program does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Calls [`Machine::step`] again.
    Step,
    /// Looks whether a request is there: somebody rang.
    Serve,
    /// Waits for a request until this host TSC.
    Wait(u64),
}

/// One VM.
pub struct Machine<M, V, O> {
    /// What it is made of.
    pub config: Config,
    /// Guest memory.
    pub memory: M,
    /// vCPUs.
    pub processors: Vec<Processor<V>>,
    /// All devices.
    pub board: Board,
    /// The real processor's CPUID.
    pub cpuid: fn(u32, u32) -> Leaf,
    /// What the guest has written.
    pub console: Console,
    /// The world outside.
    pub outside: O,
    pub(crate) state: State,
    pub(crate) exits: u64,
    pub(crate) started: u64,
    pub(crate) quota_left: u32,
    pub(crate) pause: Option<Pause>,
    pub(crate) last_pause: u64,
    /// The last checkpoint, as long as guest memory may still be copied for it.
    pub(crate) copying: Option<u64>,
    pub(crate) handover: Handover,
    memory_is_clean: bool,
    turn: Turn,
    /// Longest run of a vCPU in TSC ticks; `u64::MAX` for no limit.
    longest_run: u64,
}

/// A checkpoint after which the vCPU has not run on yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub id: u64,
    /// Host TSC at the exit.
    pub since: u64,
}

impl<M: GuestMemory, V: Vcpu, O: Outside> Machine<M, V, O> {
    /// A machine that has not begun. `memory_is_clean` says that guest memory is known to be zero.
    #[must_use]
    pub fn new(
        config: Config,
        cpuid: fn(u32, u32) -> Leaf,
        (memory, memory_is_clean): (M, bool),
        vcpus: Vec<V>,
        outside: O,
    ) -> Self {
        let board = Board::new(start::settings(&config, memory.size()));
        let handover = Handover::new(vcpus.len());
        let processor = |vcpu| {
            let activity = Activity::WaitingForStartup;
            Processor { vcpu, activity, nmi: false, away: false, since: None }
        };
        Self {
            quota_left: config.quota,
            config,
            memory,
            processors: vcpus.into_iter().map(processor).collect(),
            board,
            cpuid,
            console: Console::default(),
            outside,
            state: State::Stopped,
            exits: 0,
            started: 0,
            pause: None,
            last_pause: 0,
            copying: None,
            handover,
            memory_is_clean,
            turn: Turn::default(),
            longest_run: u64::MAX,
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The guest's TSC at a host TSC.
    pub(crate) fn guest_time(&mut self, host: u64) -> u64 {
        let offset = self.processors.first_mut().map_or(0, |first| first.vcpu.page().tsc_offset);
        host.wrapping_add(offset)
    }

    /// From now on a vCPU runs for so many TSC milliseconds at most; `None`: until its next exit.
    pub fn limit_runs(&mut self, ms: Option<u64>) {
        self.longest_run = ms.map_or(u64::MAX, |ms| ms.saturating_mul(self.config.tsc_khz));
    }

    /// Lets a vCPU run until its next exit, and answers it.
    pub fn step(&mut self) -> Next {
        if self.state != State::Running || self.handover.is_away() {
            return Next::Wait(u64::MAX);
        }
        let host = self.outside.now();
        let now = self.guest_time(host);
        self.board.advance(now);
        let Some(cpu) = self.choose(host) else {
            self.report_handover();
            return Next::Wait(self.host_deadline(host, now));
        };
        if let Err(error) = self.enter(cpu, host, now) {
            self.fail(&Crash::Refused(error).to_string());
            return Next::Step;
        }
        self.exits += 1;
        let outcome = self.answer(cpu);
        if self.board.take_call() {
            self.end_turn();
        }
        self.report_pause();
        self.report_handover();
        let next = self.conclude(cpu, outcome);
        self.carry_out_effects();
        self.drain_console();
        next
    }

    fn answer(&mut self, cpu: usize) -> Outcome {
        let vcpu = &mut self.processors[cpu].vcpu;
        let cr8 = vcpu.page().cr8 as u8;
        if let Some(apic) = self.board.devices.apics.get_mut(cpu) {
            apic.observe_cr8(cr8);
        }
        exit::handle(&mut Site {
            memory: &mut self.memory,
            vcpu,
            cpu,
            board: &mut self.board,
            cpuid: self.cpuid,
            token: &self.config.token,
        })
    }

    fn conclude(&mut self, cpu: usize, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Resume => {}
            Outcome::Notification => return Next::Serve,
            Outcome::Halt => self.halt(cpu),
            Outcome::Call(call) => self.call(cpu, call),
            Outcome::Undefined(code) => {
                let bytes = code.bytes();
                self.outside.log(format_args!("instruction {bytes:02x?} on device memory is not known: #UD"));
            }
            Outcome::Crash(crash) => self.fail(&crash.to_string()),
        }
        Next::Step
    }

    /// A vCPU that halts with interrupts off, alone, never comes back.
    fn halt(&mut self, cpu: usize) {
        let processor = &mut self.processors[cpu];
        processor.activity = Activity::Halted;
        let deaf = processor.vcpu.page().rflags & flag::INTERRUPT == 0 && !processor.nmi;
        if deaf && self.processors.len() == 1 {
            self.end("halted with interrupts off");
        }
    }

    /// The VM has ended.
    pub(crate) fn end(&mut self, why: &str) {
        self.state = State::Stopped;
        self.outside.log(format_args!("stopped: {why}"));
    }

    /// The VM cannot go on.
    pub(crate) fn fail(&mut self, why: &str) {
        let rip = self.processors.first_mut().map_or(0, |first| first.vcpu.page().rip);
        self.outside.log(format_args!("error: failed: {why}, at rip {rip:#x}"));
        self.state = State::Failed(why.to_string());
    }

    fn report_pause(&mut self) {
        if let Some(Pause { id, .. }) = self.pause.take() {
            let ticks = self.last_pause;
            self.outside.log(format_args!("checkpoint {id} created, pause {ticks} ticks"));
        }
    }

    fn drain_console(&mut self) {
        if !self.board.devices.uart.has_output() {
            return;
        }
        for byte in self.board.devices.uart.take_output() {
            if let Some(line) = self.console.put(byte) {
                self.outside.log(format_args!("| {line}"));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod tests;
