// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one VM is made of.
//!
//! Owns the machine's parts and the types of what they are doing. What happens to them is told by
//! the other files of this folder, and above it by [`crate::checkpoint`], [`crate::handover`] and
//! [`crate::requests`].

use super::away::Handover;
use super::saving::Saving;
use crate::backend::Backend;
use crate::console::Console;
use crate::device::board::Board;
use crate::device::contract::Settings;
use crate::hypercall::Call;
use crate::memory::GuestMemory;
use crate::platform::cpuid::Leaf;
use crate::vcpu::Vcpu;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use api::environment::VmKind;

/// The guest's time of day at its start, in nanoseconds since 1970: 2026-01-01. Nothing beneath
/// knows the true one.
const WALL_BASE: u64 = 1_767_225_600_000_000_000;

/// The settings of the devices.
pub(crate) fn settings(config: &Config, memory: u64) -> Settings {
    Settings { processors: config.vcpus, tsc_khz: config.tsc_khz, wall_base: WALL_BASE, memory }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// The vCPU, if it can go on; else the search for another begins here.
    pub(super) cpu: usize,
    /// Host TSC at which its turn ends; `None` where it has not begun.
    pub(super) end: Option<u64>,
}

impl Turn {
    /// The host TSC at which the vCPU that runs now has to leave the guest.
    pub(super) fn end(&self) -> u64 {
        self.end.unwrap_or(u64::MAX)
    }
}

/// What the program does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Calls [`Machine::step`] again.
    Step,
    /// Looks whether a request is there: somebody rang.
    Serve,
    /// Does what a program on this vCPU has asked for ([`Machine::call`]).
    Call(usize, Call),
    /// Waits for a request until this host TSC.
    Wait(u64),
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
    pub backend: O,
    pub(crate) state: State,
    pub(crate) exits: u64,
    pub(crate) started: u64,
    pub(crate) quota_left: u32,
    pub(crate) pause: Option<Pause>,
    pub(crate) last_pause: u64,
    /// The state of a checkpoint that is to be handed over while the VM runs.
    pub(crate) saving: Saving,
    /// The last checkpoint, as long as guest memory may still be copied for it.
    pub(crate) copying: Option<u64>,
    pub(crate) handover: Handover,
    pub(super) memory_is_clean: bool,
    pub(super) turn: Turn,
    /// Longest run of a vCPU in TSC ticks; `u64::MAX` for no limit.
    pub(super) longest_run: u64,
}

/// A checkpoint after which the vCPU has not run on yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub id: u64,
    /// Host TSC at the exit.
    pub since: u64,
}

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// A machine that has not begun. `memory_is_clean` says that guest memory is known to be zero.
    #[must_use]
    pub fn new(
        config: Config,
        cpuid: fn(u32, u32) -> Leaf,
        (memory, memory_is_clean): (M, bool),
        vcpus: Vec<V>,
        backend: O,
    ) -> Self {
        let board = Board::new(settings(&config, memory.size()));
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
            backend,
            state: State::Stopped,
            exits: 0,
            started: 0,
            pause: None,
            last_pause: 0,
            saving: Saving::default(),
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

    /// Ends the VM.
    pub(crate) fn end(&mut self, why: &str) {
        self.state = State::Stopped;
        self.backend.log(format_args!("stopped: {why}"));
    }

    /// Stops a VM that cannot go on.
    pub(crate) fn fail(&mut self, why: &str) {
        let rip = self.processors.first_mut().map_or(0, |first| first.vcpu.page().rip);
        self.backend.log(format_args!("error: failed: {why}, at rip {rip:#x}"));
        self.state = State::Failed(why.to_string());
    }

    /// Returns whether a vCPU is stopped for, or has not come from, another hypervisor.
    pub(crate) fn is_moving(&self) -> bool {
        self.processors.iter().any(|processor| processor.away)
    }
}
