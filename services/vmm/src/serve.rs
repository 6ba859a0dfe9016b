// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop between guest and callers.
//!
//! Owns the order of things in the one thread: the guest runs until somebody rings or a timer is
//! due, then callers are served. They ring the doorbell, which ends a run or a wait, and then ask
//! at the endpoint.

use crate::host::{self, Cpu, GuestWindow, World};
use abi::syscall::POLL;
use alloc::string::ToString;
use alloc::vec::Vec;
use api::environment::VmConfig;
use api::vmm::{Reply, Request, State, Status, Vmm};
use rt::Environment;
use rt::ipc::{Event, Server};
use vmm::machine::{Config, Machine, Next};

/// How long a caller that has rung may take to ask.
const PATIENCE_MS: u64 = 2;
/// How long after a ring it is looked for callers at every exit, which comes soon then: a caller
/// may be kept from asking by others on its CPU, and a guest that spins would not be left for it.
const RUNG_MS: u64 = 2000;
/// The same once one has been served; another one may have rung at the same time.
const SERVED_MS: u64 = 50;
/// Longest run of a vCPU meanwhile.
const LOOK_MS: u64 = 1;

type OwnMachine = Machine<GuestWindow, Cpu, World>;

/// The service.
pub fn main(environment: &'static Environment) {
    let Some(mut server) = Server::<Vmm>::from_environment(environment) else {
        panic!("the manifest gives no endpoint to serve at")
    };
    let Some(vm) = environment.vm.as_ref() else { panic!("the manifest gives no VM") };
    if !environment.no_virtualization.is_empty() {
        rt::log::say(format_args!("no VM: {}", environment.no_virtualization));
        serve_without_machine(&mut server, vm, &environment.no_virtualization);
    }
    let Some(mut machine) = build(environment, vm) else { panic!("something of the VM is missing") };
    if vm.arrives {
        machine.await_arrival();
    } else {
        machine.start();
    }
    run(&mut machine, &mut server)
}

/// The machine that the environment describes.
fn build(environment: &'static Environment, vm: &'static VmConfig) -> Option<OwnMachine> {
    let memory = GuestWindow::take(environment, vm)?;
    let cpus: Option<Vec<Cpu>> = (0..vm.vcpus).map(|number| Cpu::take(environment, number)).collect();
    let config = Config {
        name: vm.name.clone(),
        kind: vm.kind,
        vcpus: vm.vcpus,
        tsc_khz: environment.tsc_khz,
        command_line: vm.command_line.clone(),
        kernel: rt::window::kernel(),
        initrd: rt::window::initrd(),
        token: vm.token,
        quota: vm.quota,
    };
    // Memory comes cleared from the core; after a restart of this service it holds what the last
    // guest left, and where the VM comes from elsewhere, what is the VM's.
    let is_clean = environment.restarts == 0 && !vm.arrives;
    Some(Machine::new(config, host::cpuid, (memory, is_clean), cpus?, World::new()))
}

/// Lets the guest run and serves callers, for ever.
fn run(machine: &mut OwnMachine, server: &mut Server<Vmm>) -> ! {
    let mut rung_until = 0;
    loop {
        let mut next = machine.step();
        if let Next::Call(cpu, call) = next {
            machine.call(cpu, call);
            next = Next::Step;
        }
        match next {
            Next::Step | Next::Call(..) => {
                // Two who rang at once were one signal: the second one may ask a little later.
                if rung_until != 0 {
                    if serve_all(machine, server, POLL) {
                        rung_until = rung_until.min(rt::time::after_ms(SERVED_MS));
                    }
                    if rt::time::now() > rung_until {
                        rung_until = 0;
                        machine.limit_runs(None);
                    }
                }
            }
            Next::Serve => {
                let served = serve_all(machine, server, rt::time::after_ms(PATIENCE_MS));
                rung_until = rt::time::after_ms(if served { SERVED_MS } else { RUNG_MS });
                machine.limit_runs(Some(LOOK_MS));
            }
            Next::Wait(deadline) => {
                let event = server.receive(deadline);
                if serve(machine, server, event)
                    && !serve_all(machine, server, rt::time::after_ms(PATIENCE_MS))
                {
                    rung_until = rt::time::after_ms(RUNG_MS);
                    machine.limit_runs(Some(LOOK_MS));
                }
            }
        }
    }
}

/// Serves callers until none is there any more; whether there was one. One who has just rung gets
/// until `deadline` to ask.
fn serve_all(machine: &mut OwnMachine, server: &mut Server<Vmm>, deadline: u64) -> bool {
    let (mut deadline, mut served) = (deadline, false);
    loop {
        match server.receive(deadline) {
            Event::TimedOut => return served,
            Event::Notification(_) => {}
            event => {
                serve(machine, server, event);
                (deadline, served) = (POLL, true);
            }
        }
    }
}

/// Serves one event; whether somebody has rung who may ask next.
fn serve(machine: &mut OwnMachine, server: &mut Server<Vmm>, event: Event<Request>) -> bool {
    match event {
        Event::Request(badge, request) => {
            let reply = machine.request(request, badge & api::CONTROL != 0);
            server.reply(&reply);
            false
        }
        Event::Notification(_) => true,
        Event::Fault(_) => {
            server.answer_fault(false);
            false
        }
        Event::TimedOut => false,
        Event::Failed(error) => panic!("cannot receive: {error:?}"),
    }
}

/// Where VMs cannot run, callers are told so.
fn serve_without_machine(server: &mut Server<Vmm>, vm: &VmConfig, why: &str) -> ! {
    loop {
        if let Event::Request(_, request) = server.receive(u64::MAX) {
            let reply = match request {
                Request::Status => Reply::Status(Status {
                    state: State::Failed(why.to_string()),
                    memory_bytes: vm.memory_bytes,
                    vcpus: vm.vcpus,
                    exits: 0,
                    uptime_ms: 0,
                    quota_left: 0,
                    console_end: 0,
                    last_pause_ticks: 0,
                    blackouts: Vec::new(),
                }),
                _ => Reply::Refused(why.to_string()),
            };
            server.reply(&reply);
        }
    }
}
