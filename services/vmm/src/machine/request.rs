// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests of the interface `vmm`, served between two steps.

use super::{Machine, Outside, State};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use alloc::string::ToString;
use api::vmm::{MAX_CONSOLE, Reply, Request, Status};

impl<M: GuestMemory, V: Vcpu, O: Outside> Machine<M, V, O> {
    /// Serves a request; `controls` says whether the caller may do more than look.
    pub fn request(&mut self, request: Request, controls: bool) -> Reply {
        match request {
            Request::Status => Reply::Status(self.status()),
            Request::ConsoleRead { cursor } => {
                let (start, bytes) = self.console.read(cursor, MAX_CONSOLE);
                Reply::Console { start, bytes }
            }
            _ if !controls => Reply::Denied,
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
            Request::HandOver { .. } | Request::TakeOver { .. } => {
                Reply::Refused("this VM cannot change its hypervisor yet".into())
            }
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
        let now = self.outside.now();
        let uptime = now.saturating_sub(self.started) / self.config.tsc_khz.max(1);
        let state = match &self.state {
            State::Running => api::vmm::State::Running,
            State::Paused => api::vmm::State::Paused,
            State::Stopped => api::vmm::State::Stopped,
            State::Failed(why) => api::vmm::State::Failed(why.clone()),
        };
        Status {
            state,
            memory_bytes: self.memory.size(),
            vcpus: self.processors.len() as u32,
            exits: self.exits,
            uptime_ms: if self.started == 0 { 0 } else { uptime },
            quota_left: self.quota_left,
            console_end: self.console.end(),
            last_pause_ticks: self.last_pause,
            blackouts: alloc::vec::Vec::new(),
        }
    }
}
