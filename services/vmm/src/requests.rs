// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests of the interface `vmm`, served between two steps.

use crate::handover::Refusal;
use crate::machine::away::MOVING;
use crate::machine::{Backend, Machine, State};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use alloc::string::ToString;
use api::vmm::{MAX_CONSOLE, Reply, Request, Status};

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Serves a request; `controls` says whether the caller may do more than look.
    pub fn request(&mut self, request: Request, controls: bool) -> Reply {
        if controls {
            self.finish_saving();
        }
        match request {
            Request::Status => Reply::Status(self.status()),
            Request::ConsoleRead { cursor } => {
                let (start, bytes) = self.console.read(cursor, MAX_CONSOLE);
                Reply::Console { start, bytes }
            }
            _ if !controls => Reply::Denied,
            _ if self.has_to_wait(&request) => Reply::Refused(MOVING.into()),
            Request::Prepare => outcome(self.prepare_handover()),
            Request::HandOver { vcpu } => outcome(self.hand_over(vcpu)),
            Request::TakeOver { vcpu } => outcome(self.take_over(vcpu)),
            Request::Lose { anyway } => outcome(self.lose(anyway)),
            Request::Pause => self.change("running", State::Running, State::Paused),
            Request::Resume => self.change("paused", State::Paused, State::Running),
            Request::Stop => {
                self.end("by request");
                Reply::Done
            }
            Request::Start => self.start_by_request(),
            Request::ConsoleWrite(bytes) => {
                let most = bytes.len().min(MAX_CONSOLE);
                Reply::Taken(self.board.send_serial(bytes.get(..most).unwrap_or_default()) as u32)
            }
            Request::CheckpointCreate => match self.create_checkpoint() {
                Ok(id) => Reply::Checkpoint { id },
                Err(error) => Reply::Refused(error.to_string()),
            },
            Request::Restore { id } => match self.restore_checkpoint(id) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Refused(error.to_string()),
            },
        }
    }

    /// Whether a request cannot be served while the VM changes its hypervisor. Its serial port is
    /// where its other devices are.
    fn has_to_wait(&self, request: &Request) -> bool {
        match request {
            Request::Status | Request::ConsoleRead { .. } => false,
            Request::Prepare | Request::HandOver { .. } | Request::TakeOver { .. } | Request::Lose { .. } => {
                false
            }
            Request::ConsoleWrite(_) => self.handover.is_away(),
            Request::Pause | Request::Resume | Request::Stop | Request::Start => self.is_moving(),
            Request::CheckpointCreate | Request::Restore { .. } => self.is_moving(),
        }
    }

    fn change(&mut self, name: &str, from: State, to: State) -> Reply {
        if self.state != from {
            return Reply::Refused(alloc::format!("the VM is not {name}"));
        }
        self.state = to;
        Reply::Done
    }

    fn start_by_request(&mut self) -> Reply {
        if matches!(self.state, State::Running | State::Paused) {
            return Reply::Refused("the VM is started already".into());
        }
        self.start();
        match &self.state {
            State::Failed(why) => Reply::Refused(why.clone()),
            _ => Reply::Done,
        }
    }

    fn status(&mut self) -> Status {
        let now = self.backend.now();
        let state = match &self.state {
            State::Running => api::vmm::State::Running,
            State::Paused => api::vmm::State::Paused,
            State::Stopped => api::vmm::State::Stopped,
            State::Failed(why) => api::vmm::State::Failed(why.clone()),
        };
        let state = if self.handover.is_away() { api::vmm::State::Away } else { state };
        Status {
            state,
            memory_bytes: self.memory.size(),
            vcpus: self.processors.len() as u32,
            exits: self.exits,
            uptime_ms: self.uptime_ms(now),
            quota_left: self.quota_left,
            console_end: self.console.end(),
            last_pause_ticks: self.last_pause,
            blackouts: self.handover.blackouts().to_vec(),
        }
    }
}

fn outcome(done: Result<(), Refusal>) -> Reply {
    match done {
        Ok(()) => Reply::Done,
        Err(why) => Reply::Refused(why.to_string()),
    }
}
