// SPDX-License-Identifier: MIT OR Apache-2.0
//! A system that is none: the service's end of the line, and answers out of a small state.
#![allow(dead_code, reason = "not every test uses all of it")]

pub mod succession;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use api::checkpoint::{self, Info, Refusal, Stage, StoreInfo};
use api::console;
use api::operator::server::{Event, Session};
use api::operator::{Failure, Key, Reply, Request, permitted};
use api::root::{self, Inventory, Process, ProcessState, Region};
use api::vmm::{self, State, Status};

/// What the fake system is made of.
pub struct Fake {
    pub state: State,
    pub checkpoints: Vec<Info>,
    pub log: Vec<u8>,
    pub typed: Vec<u8>,
    /// Copying takes so many looks.
    pub looks: u64,
    /// The succession service, where there is one.
    pub succession: Option<succession::Script>,
    /// Bytes of nonsense instead of the next answer.
    pub garbage: Option<Vec<u8>>,
    /// How often the log was read.
    pub reads: usize,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            state: State::Running,
            checkpoints: Vec::new(),
            log: b"console: hello\nroot: started \x1b[2Jlinux\nlinux: up\n".to_vec(),
            typed: Vec::new(),
            looks: 2,
            succession: None,
            garbage: None,
            reads: 0,
        }
    }
}

fn process(name: &str, is_vm: bool, cpu: u32) -> Process {
    Process {
        name: name.into(),
        state: ProcessState::Running,
        cpu,
        priority: 100,
        memory_bytes: if is_vm { 256 << 20 } else { 4 << 20 },
        restarts: 0,
        is_vm,
    }
}

impl Fake {
    /// The peer's end of a line on which the fake system answers, until the line is closed.
    pub fn serve(self, key: Option<Key>) -> (UnixStream, JoinHandle<Self>) {
        let (tool, line) = UnixStream::pair().unwrap();
        (tool, std::thread::spawn(move || self.attend(line, key)))
    }

    /// Answers until the line is closed.
    pub fn attend(mut self, mut line: UnixStream, key: Option<Key>) -> Self {
        let mut session = Session::new(key);
        let mut byte = [0];
        while matches!(line.read(&mut byte), Ok(1)) {
            let bytes = match session.push(byte[0], 1) {
                None => continue,
                Some(Event::Send(bytes) | Event::Opened(bytes) | Event::Closed(_, bytes)) => bytes,
                Some(Event::Request(request)) => match self.garbage.take() {
                    Some(garbage) => garbage,
                    None => match self.answer(request) {
                        Some(reply) => session.reply(&reply).unwrap(),
                        None => break,
                    },
                },
            };
            if line.write_all(&bytes).is_err() {
                break;
            }
        }
        self
    }

    /// The answer; `None` to hang up.
    fn answer(&mut self, request: Request) -> Option<Reply> {
        assert!(permitted(&request), "{request:?}");
        Some(match request {
            Request::Ping => Reply::Pong,
            Request::Root(request) => Reply::Root(self.root(request)),
            Request::Console(console::Request::Read { cursor }) => {
                self.reads += 1;
                let from = (cursor as usize).min(self.log.len());
                let to = (from + 20).min(self.log.len());
                let bytes = self.log[from..to].to_vec();
                Reply::Console(console::Reply::Log { start: from as u64, bytes })
            }
            Request::Console(_) => unreachable!(),
            Request::Vm(name, request) if name == "linux" => Reply::Vm(self.vm(request)),
            Request::Vm(name, _) => Reply::Failed(Failure::Unknown(name)),
            Request::Succession(request) => match &mut self.succession {
                Some(script) => Reply::Succession(script.answer(request)?),
                None => Reply::Failed(Failure::Unknown("succession".into())),
            },
            Request::Checkpoint(request) => Reply::Checkpoint(self.checkpoint(request)),
        })
    }

    fn root(&self, request: root::Request) -> root::Reply {
        match request {
            root::Request::Ps(from) => {
                let mut all =
                    vec![process("console", false, 0), process("linux", true, 1), process("gone", true, 2)];
                all[2].state = ProcessState::Refused("no SVM".into());
                root::Reply::Ps(all.into_iter().skip(from as usize).take(2).collect())
            }
            root::Request::Inventory => root::Reply::Inventory(Inventory {
                apic_ids: vec![0, 1, 2, 3],
                memory_bytes: 2 << 30,
                free_bytes: 1 << 30,
                tsc_khz: 2_000_000,
                abi_version: 1,
                modules: vec!["root".into(), "services".into()],
                boot_ticks: 5_000_000,
                rendezvous: 7,
                ..Inventory::default()
            }),
            root::Request::Regions(0) => {
                root::Reply::Regions(vec![Region { base: 0x10_0000, size: 1 << 30, kind: 1 }])
            }
            root::Request::Regions(_) => root::Reply::Regions(Vec::new()),
            _ => root::Reply::Denied,
        }
    }

    fn vm(&mut self, request: vmm::Request) -> vmm::Reply {
        match request {
            vmm::Request::Status => vmm::Reply::Status(Status {
                state: self.state.clone(),
                memory_bytes: 256 << 20,
                vcpus: 1,
                exits: 12345,
                uptime_ms: 61_000,
                quota_left: 4,
                console_end: 9,
                last_pause_ticks: 0,
                blackouts: Vec::new(),
            }),
            vmm::Request::Pause => self.set(State::Paused),
            vmm::Request::Resume | vmm::Request::Start => self.set(State::Running),
            vmm::Request::Stop => self.set(State::Stopped),
            vmm::Request::ConsoleRead { cursor } => {
                let output = b"login: \x07\n";
                let from = (cursor as usize).min(output.len());
                vmm::Reply::Console { start: from as u64, bytes: output[from..].to_vec() }
            }
            vmm::Request::ConsoleWrite(bytes) => {
                // Half of it, as a guest that is slow.
                let taken = bytes.len().div_ceil(2);
                self.typed.extend(&bytes[..taken]);
                vmm::Reply::Taken(taken as u32)
            }
            vmm::Request::Prepare
            | vmm::Request::HandOver { .. }
            | vmm::Request::TakeOver { .. }
            | vmm::Request::Lose { .. } => vmm::Reply::Denied,
            vmm::Request::CheckpointCreate => {
                let id = self.checkpoints.last().map_or(1, |info| info.id + 1);
                self.checkpoints.push(Info {
                    id,
                    vm: "linux".into(),
                    parent: id.checked_sub(1).filter(|&id| id > 0),
                    stage: Stage::Copying { done: 0, total: 100 },
                    at_ms: 5000,
                    new_pages: 42,
                    state_bytes: 9000,
                    digest: [0xab; 32],
                });
                vmm::Reply::Checkpoint { id }
            }
            vmm::Request::Restore { id } if self.checkpoints.iter().any(|info| info.id == id) => {
                vmm::Reply::Done
            }
            vmm::Request::Restore { .. } => vmm::Reply::Refused("no such checkpoint".into()),
        }
    }

    fn set(&mut self, state: State) -> vmm::Reply {
        self.state = state;
        vmm::Reply::Done
    }

    fn checkpoint(&mut self, request: checkpoint::Request) -> checkpoint::Reply {
        match request {
            checkpoint::Request::List { from } => {
                if self.looks == 0 {
                    for info in &mut self.checkpoints {
                        if !matches!(info.stage, Stage::Failed(_)) {
                            info.stage = Stage::Complete;
                        }
                    }
                }
                self.looks = self.looks.saturating_sub(1);
                let part = self.checkpoints.iter().filter(|info| info.id >= from).take(2).cloned();
                checkpoint::Reply::List(part.collect())
            }
            checkpoint::Request::Remove { id } => {
                let before = self.checkpoints.len();
                self.checkpoints.retain(|info| info.id != id);
                if self.checkpoints.len() == before {
                    checkpoint::Reply::Refused(Refusal::NoCheckpoint)
                } else {
                    checkpoint::Reply::Done
                }
            }
            checkpoint::Request::Store => {
                checkpoint::Reply::Store(StoreInfo { pages: 100_000, used: 5000, referenced: 9000 })
            }
            _ => checkpoint::Reply::Denied,
        }
    }
}
