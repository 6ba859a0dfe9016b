// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop: messages first, then one step of the work that is due.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::fault::Fault;
use abi::syscall::{FOREVER, POLL};
use api::Badge;
use api::checkpoint::{Checkpoint, Refusal, Reply, Request};
use checkpoint::{Answer, Service, VmSetup};
use rt::Environment;
use rt::ipc::{Event, FaultReport, Held, Server};
use rt::time;

use crate::core_calls::Core;

/// Sets the service up and serves for ever.
pub fn main(environment: &'static Environment) {
    let mut core = match Core::new(environment) {
        Ok(core) => core,
        Err(missing) => panic!("the manifest gives no {}", missing.0),
    };
    let setup = |vm: &api::environment::VmEntry| VmSetup {
        name: vm.name.clone(),
        badge: vm.badge,
        pages: vm.memory_bytes >> abi::PAGE_BITS,
        quota: vm.quota,
    };
    let vms: Vec<VmSetup> = environment.vms.iter().map(setup).collect();
    // An id that a guest got from an earlier life of this service must not name another checkpoint:
    // should the store not say how far they are.
    let first_id = (u64::from(environment.restarts) << 32) + 1;
    let mut service = Service::new(vms, core.slots(), first_id);
    let loaded = service.start(&mut core);
    log::info!(
        "{} VMs, room for {} pages, {} checkpoints",
        environment.vms.len(),
        core.slots(),
        loaded.taken
    );
    if loaded.refused > 0 {
        log::error!("{} catalogue records are invalid and were dropped", loaded.refused);
    }
    let Some(server) = Server::from_environment(environment) else {
        panic!("the manifest gives no endpoint to serve at")
    };
    Loop { server, service, core, held: BTreeMap::new(), begun: BTreeMap::new() }.run()
}

struct Loop {
    server: Server<Checkpoint>,
    service: Service,
    core: Core,
    /// VMMs that wait for the end of a restore.
    held: BTreeMap<Badge, Held>,
    /// TSC at which each checkpoint was begun that is not yet complete.
    begun: BTreeMap<u64, u64>,
}

impl Loop {
    fn run(&mut self) -> ! {
        loop {
            let deadline = if self.service.has_work() { POLL } else { FOREVER };
            match self.server.receive(deadline) {
                Event::Request(badge, request) => {
                    self.request(badge, request);
                    self.give_way();
                }
                Event::Fault(report) => {
                    self.fault(report);
                    self.give_way();
                }
                Event::Notification(_) => {}
                Event::TimedOut => self.service.step(&mut self.core),
                Event::Failed(error) => panic!("cannot receive: {error:?}"),
            }
            while let Some((badge, reply)) = self.service.finished() {
                self.release(badge, &reply);
            }
            while let Some(id) = self.service.take_completed() {
                let ticks = self.begun.remove(&id).map_or(0, |begun| time::now().wrapping_sub(begun));
                log::info!("checkpoint {id} complete, {ticks} ticks after it was begun");
            }
        }
    }

    /// Whoever was answered stands still no longer: if it is of this CPU it goes on before the work
    /// does.
    fn give_way(&self) {
        if self.service.has_work() {
            rt::syscall::yield_now();
        }
    }

    fn request(&mut self, badge: Badge, request: Request) {
        // Whoever waited under this badge does not any more, or the same one would not ask.
        self.release(badge, &Reply::Refused(Refusal::Busy));
        if !matches!(request, Request::Restore { .. }) {
            let (at_ms, begun) = (time::now_ms(), time::now());
            if let Answer::Now(reply) = self.service.request(badge, request, at_ms, &mut self.core) {
                if let Reply::Begun { id } = reply {
                    // What came to nothing is forgotten with the oldest.
                    if self.begun.len() >= 16 {
                        self.begun.pop_first();
                    }
                    self.begun.insert(id, begun);
                }
                self.server.reply(&reply);
            }
            return;
        }
        // First a place to wait: a restore that has begun cannot be answered before its end.
        let Some(held) = self.server.hold() else {
            self.server.reply(&Reply::Refused(Refusal::Busy));
            return;
        };
        match self.service.request(badge, request, time::now_ms(), &mut self.core) {
            Answer::Now(reply) => self.server.reply_held(held, &reply),
            Answer::Later => {
                self.held.insert(badge, held);
            }
        }
    }

    fn fault(&mut self, report: FaultReport) {
        let address = report.words[0];
        let go_on = report.fault == Some(Fault::SealedWrite)
            && self.service.sealed_write(report.badge, address, &mut self.core);
        if !go_on {
            log::error!("badge {}: a fault at {address:#x} that cannot be helped", report.badge);
        }
        self.server.answer_fault(go_on);
    }

    fn release(&mut self, badge: Badge, reply: &Reply) {
        if let Some(held) = self.held.remove(&badge) {
            self.server.reply_held(held, reply);
        }
    }
}
