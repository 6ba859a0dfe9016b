// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the operator is shown: how far it is, and whose each resource is.
//!
//! Reads the course and the ledger, asks the VMMs for their blackouts, and changes nothing.

use alloc::format;
use alloc::vec::Vec;

use api::estate::Use;
use api::succession::{Blackout, Holding, MAX_LIST, Phase, Status};
use succession::{Giver, Incumbent, Phase as Turned, Resource, State, Successor, Table};

use super::course::{Course, Side};
use super::{Service, VERSION};

impl Service {
    /// How far it is.
    pub fn status(&self) -> Status {
        let mut status = Status {
            version: VERSION.into(),
            incumbent: true,
            message: self.message.clone(),
            generation: self.generation(),
            blackouts: self.blackouts(),
            launch_ticks: self.launch_ticks,
            total_ticks: self.total_ticks,
            switch_extras: self.switch_extras,
            ..Status::default()
        };
        let Some(course) = &self.course else { return status };
        status.incumbent = matches!(course.side, Side::Incumbent(_));
        status.phase = phase(course);
        let present = |resource: &Resource| course.ledger.word(*resource).is_some();
        let all = || course.ledger.shape().all().filter(present);
        status.resources = all().count() as u32;
        status.owned = all().filter(|resource| course.is_mine(*resource)).count() as u32;
        status
    }

    /// Resources and their owners, from one on.
    pub fn resources(&self, from: u32) -> Vec<Holding> {
        let Some(course) = &self.course else { return Vec::new() };
        let all = course.ledger.shape().all().filter_map(|resource| holding(course, resource));
        all.skip(from as usize).take(MAX_LIST).collect()
    }

    /// What the last handover of the vCPUs of the VMs that run here cost.
    fn blackouts(&self) -> Vec<Blackout> {
        let mut blackouts = Vec::new();
        for vm in &self.environment.controls {
            // Nobody would answer for a VM that is away.
            if self.course.as_ref().is_some_and(|course| !runs_here(course, vm)) {
                continue;
            }
            let Ok(status) = self.vm_status(vm) else { continue };
            let ticks = (0..).zip(status.blackouts);
            blackouts.extend(ticks.map(|(vcpu, ticks)| Blackout { vm: vm.clone(), vcpu, ticks }));
        }
        blackouts
    }

    /// Successions that are completed. One that goes on counts when its successor owns everything,
    /// not before: an operator who lets the incumbent leave tells success from failure by it.
    fn generation(&self) -> u32 {
        self.course.as_ref().map_or(self.environment.generation, |course| {
            let completed = matches!(course.side, Side::Successor(Successor::Sole));
            course.inventory.generation.saturating_add(u32::from(completed))
        })
    }
}

fn runs_here(course: &Course, name: &str) -> bool {
    let number = (0..).zip(&course.inventory.vms).find(|(_, vm)| vm.name == name).map(|(number, _)| number);
    number.is_some_and(|number| course.ledger.holds(course.me, Resource::Vm(number)))
}

fn phase(course: &Course) -> Phase {
    match course.side {
        Side::Incumbent(Incumbent::Giving(Giver::Empty)) => return Phase::Ready,
        Side::Incumbent(Incumbent::Retiring) => return Phase::Retiring,
        _ => {}
    }
    match course.ledger.course().map(|course| course.phase) {
        None | Some(Turned::Quiet) => Phase::Quiet,
        Some(Turned::Carving) => Phase::Carving,
        Some(Turned::Launched) => Phase::Launched,
        Some(Turned::Cancelled | Turned::Back) => Phase::Returning,
        Some(Turned::Retired) => Phase::Retiring,
        Some(Turned::Greeted) if everything_moved(course) => Phase::Ready,
        Some(Turned::Greeted) => Phase::Moving,
    }
}

/// Whether only the home of the party that began is left to it, seen from the other.
fn everything_moved(course: &Course) -> bool {
    let successor = matches!(course.side, Side::Successor(Successor::Taking(_)));
    let theirs = |resource: Resource| {
        let word = course.ledger.word(resource);
        course.ledger.owner(resource) == Some(course.me.peer())
            && word.is_some_and(|word| word.home != Some(course.me.peer()))
    };
    successor && !course.ledger.shape().all().any(theirs)
}

fn holding(course: &Course, resource: Resource) -> Option<Holding> {
    let word = course.ledger.word(resource)?;
    let inventory = &course.inventory;
    let vm = |number: u8| inventory.vms.get(usize::from(number)).map_or("?", |vm| vm.name.as_str());
    let mut bytes = 0;
    let name = match resource {
        Resource::Vm(number) => format!("vm {}", vm(number)),
        Resource::Vcpu(number, vcpu) => format!("vcpu {}/{vcpu}", vm(number)),
        Resource::Line(number) => {
            let service = inventory.lines.get(usize::from(number)).map_or("?", |line| line.service.as_str());
            format!("line {service}")
        }
        Resource::Cpu(number) => format!("cpu {}", inventory.cpus.get(usize::from(number))?),
        Resource::Extent(number) => {
            let extent = inventory.extents.get(usize::from(number))?;
            bytes = extent.ranges.iter().map(|range| range.bytes).sum();
            let (first, last) = (extent.ranges.first()?, extent.ranges.last()?);
            let what = match extent.used {
                Use::First => " (first home)",
                Use::Second => " (second home)",
                Use::Free => "",
                Use::Vm(_) => " (VM)",
                Use::Store(_) => " (checkpoints)",
            };
            format!("extent {:x}-{:x}{what}", first.base, last.end())
        }
    };
    let state = match word.state {
        State::Held => "held",
        State::Leaving => "leaving",
        State::Bound(_) => "with VM",
    };
    Some(Holding { name, mine: course.is_mine(resource), state: state.into(), bytes })
}
