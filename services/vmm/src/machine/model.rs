// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine around a made-up vCPU, for tests: each run is a script's next exit.

use super::{Backend, CheckpointError, Config, Machine, Next, State};
use crate::memory::PlainMemory;
use crate::platform::cpuid::Leaf;
use crate::vcpu::{Vcpu, blank_page};
use abi::error::Error;
use abi::hypercall::MAGIC;
use abi::vcpu::{Exit, VcpuPage, gpr, group};
use api::environment::VmKind;
use api::handover::WINDOW_BYTES;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;

pub type Step = Box<dyn Fn(&mut VcpuPage)>;
type Script = VecDeque<Step>;

/// A vCPU whose core is a second page.
pub struct Fake {
    page: Box<VcpuPage>,
    core: Box<VcpuPage>,
    pub script: Script,
    pub injected: Vec<u64>,
    /// What the core says to an import.
    pub refuses: bool,
}

impl Vcpu for Fake {
    fn page(&mut self) -> &mut VcpuPage {
        &mut self.page
    }

    fn run(&mut self) -> Result<(), Error> {
        let dirty = std::mem::take(&mut self.page.dirty);
        self.import(dirty)?;
        self.injected.push(std::mem::take(&mut self.page.inject));
        let step = self.script.pop_front().ok_or(Error::NotConfigured)?;
        step(&mut self.page);
        self.page.interruptible = u64::from(self.page.rflags & 0x200 != 0);
        Ok(())
    }

    fn export(&mut self, groups: u64) -> Result<(), Error> {
        if groups & group::SYSTEM != 0 {
            self.page.cr2 = self.core.cr2;
            self.page.segments = self.core.segments;
            self.page.dr = self.core.dr;
        }
        if groups & group::MSRS != 0 {
            self.page.pat = self.core.pat;
            self.page.tsc_offset = self.core.tsc_offset;
        }
        Ok(())
    }

    fn import(&mut self, groups: u64) -> Result<(), Error> {
        if self.refuses {
            return Err(Error::InvalidArgument);
        }
        if groups & group::SYSTEM != 0 {
            self.core.cr2 = self.page.cr2;
            self.core.segments = self.page.segments;
            self.core.dr = self.page.dr;
        }
        if groups & group::MSRS != 0 {
            self.core.pat = self.page.pat;
            self.core.tsc_offset = self.page.tsc_offset;
        }
        Ok(())
    }
}

/// A store of typed states; guest memory stays as it is.
#[derive(Default)]
pub struct World {
    pub time: Rc<Cell<u64>>,
    pub begun: u64,
    pub states: BTreeMap<u64, Vec<u8>>,
    pub lines: Vec<String>,
    pub copying: bool,
    pub aborted: Vec<u64>,
    /// No state is taken.
    pub full: bool,
    pub attached: u64,
    /// The handover window, if there is one.
    pub window: Option<Rc<RefCell<Vec<u8>>>>,
}

impl Backend for World {
    fn now(&mut self) -> u64 {
        self.time.set(self.time.get() + 1000);
        self.time.get()
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        self.lines.push(line.to_string());
    }

    fn begin(&mut self) -> Result<u64, CheckpointError> {
        self.begun += 1;
        if self.begun > 2 { Err(CheckpointError::QuotaExhausted) } else { Ok(self.begun) }
    }

    fn commit(&mut self, id: u64, state: &[u8]) -> Result<(), CheckpointError> {
        if self.full {
            return Err(CheckpointError::Unavailable("full".into()));
        }
        self.states.insert(id, state.to_vec());
        Ok(())
    }

    fn abort(&mut self, id: u64) {
        self.aborted.push(id);
    }

    fn state(&mut self, id: u64) -> Result<Vec<u8>, CheckpointError> {
        self.states.get(&id).cloned().ok_or(CheckpointError::NoCheckpoint)
    }

    fn restore(&mut self, _: u64) -> Result<(), CheckpointError> {
        Ok(())
    }

    fn attach(&mut self) {
        self.attached += 1;
    }

    fn quota(&mut self) -> Result<u32, CheckpointError> {
        Ok(7)
    }

    fn is_copying(&mut self, _: u64) -> bool {
        self.copying
    }

    fn read_handover(&mut self, offset: u64, into: &mut [u8]) -> bool {
        let at = offset as usize;
        self.window.as_ref().is_some_and(|window| {
            let window = window.borrow();
            window.get(at..at + into.len()).is_some_and(|from| {
                into.copy_from_slice(from);
                true
            })
        })
    }

    fn write_handover(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let at = offset as usize;
        self.window.as_ref().is_some_and(|window| {
            let mut window = window.borrow_mut();
            window.get_mut(at..at + bytes.len()).is_some_and(|to| {
                to.copy_from_slice(bytes);
                true
            })
        })
    }
}

impl TestMachine {
    /// A step, and what a program asks for in it.
    pub fn go(&mut self) -> Next {
        match self.step() {
            Next::Call(cpu, call) => {
                self.call(cpu, call);
                Next::Step
            }
            next => next,
        }
    }
}

pub const TOKEN: [u8; 16] = [3; 16];
pub const HALF: u64 = 0x0303_0303_0303_0303;
/// Where the guest's only code is.
pub const CODE: u64 = 0x40_0000;

/// A static ELF with these instructions at 4 MiB.
fn image(code: &[u8]) -> &'static [u8] {
    let mut bytes = vec![0; 64 + 56];
    bytes[0..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16..20].copy_from_slice(&[2, 0, 62, 0]);
    bytes[24..32].copy_from_slice(&CODE.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..58].copy_from_slice(&[56, 0, 1, 0]);
    bytes[64] = 1;
    for (at, value) in [(8, 120), (24, CODE), (32, code.len() as u64), (40, 4096)] {
        bytes[64 + at..64 + at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(code);
    bytes.leak()
}

pub type TestMachine = Machine<PlainMemory, Fake, World>;

/// A machine that has not begun, whose vCPUs run these scripts over `code`.
pub fn unstarted(code: &[u8], scripts: Vec<Vec<Step>>, outside: World) -> TestMachine {
    let config = Config {
        name: "test".into(),
        kind: VmKind::Unikernel,
        vcpus: scripts.len() as u32,
        tsc_khz: 1_000_000,
        command_line: String::new(),
        kernel: image(code),
        initrd: &[],
        token: TOKEN,
        quota: 8,
    };
    let fake = |script: Vec<Step>| Fake {
        page: Box::new(blank_page()),
        core: Box::new(blank_page()),
        script: script.into(),
        injected: Vec::new(),
        refuses: false,
    };
    let vcpus = scripts.into_iter().map(fake).collect();
    Machine::new(config, |_, _| Leaf::default(), (PlainMemory::new(8 << 20), true), vcpus, outside)
}

/// A started machine of one vCPU that executes `code`, exit by exit.
pub fn machine(code: &[u8], script: Vec<Step>) -> TestMachine {
    let mut machine = unstarted(code, vec![script], World::default());
    machine.start();
    assert_eq!(machine.state, State::Running, "{:?}", machine.backend.lines);
    machine
}

/// An empty handover window.
pub fn window() -> Rc<RefCell<Vec<u8>>> {
    Rc::new(RefCell::new(vec![0; WINDOW_BYTES as usize]))
}

pub fn exit(page: &mut VcpuPage, exit: Exit, info: [u64; 4]) {
    page.exit = exit as u64;
    page.info = info;
}

pub fn output(byte: u8) -> Step {
    Box::new(move |page| {
        page.gpr[gpr::RAX] = byte.into();
        let next = page.rip + 1;
        exit(page, Exit::Io, [0x3f8, 1, next, 0]);
    })
}

pub fn hypercall(function: u64, half: u64, argument: u64) -> Step {
    Box::new(move |page| {
        page.rip = CODE;
        page.gpr[gpr::RAX] = MAGIC | function;
        page.gpr[gpr::RBX] = half;
        page.gpr[gpr::RCX] = half;
        page.gpr[gpr::RDX] = argument;
        exit(page, Exit::Hypercall, [0; 4]);
    })
}
