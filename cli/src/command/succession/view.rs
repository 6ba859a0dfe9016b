// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed about a succession: JSON, words, and the table of blackouts.

use api::succession::{self, Phase};
use serde::Serialize;

use super::super::Output;
use super::picture::{self, Picture};
use crate::{Failure, System, text};

/// A phase in a word.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Quiet => "quiet",
        Phase::Carving => "carving",
        Phase::Launched => "launched",
        Phase::Moving => "moving",
        Phase::Ready => "ready",
        Phase::Retiring => "retiring",
        Phase::Returning => "returning",
    }
}

/// What that means.
pub fn meaning(phase: Phase) -> &'static str {
    match phase {
        Phase::Quiet => "there is no succession",
        Phase::Carving => "the successor's home is being carved out",
        Phase::Launched => "the successor starts",
        Phase::Moving => "resources move to the successor",
        Phase::Ready => "only its home is left to the incumbent",
        Phase::Retiring => "the incumbent leaves",
        Phase::Returning => "everything goes back to the incumbent",
    }
}

#[derive(Serialize)]
pub struct Plan {
    pub from: String,
    pub to: String,
    pub cpu: u32,
    pub memory_bytes: u64,
    pub console: u16,
    pub vms: Vec<String>,
    pub obstacles: Vec<String>,
}

impl Plan {
    pub fn of(plan: &succession::Plan) -> Self {
        let plain = |all: &[String]| all.iter().map(|text| text::plain(text)).collect();
        Self {
            from: text::plain(&plan.from),
            to: text::plain(&plan.to),
            cpu: plan.cpu,
            memory_bytes: plan.memory_bytes,
            console: plan.console,
            vms: plain(&plan.vms),
            obstacles: plain(&plan.obstacles),
        }
    }
}

#[derive(Serialize)]
pub struct Status {
    version: String,
    incumbent: bool,
    phase: &'static str,
    generation: u32,
    resources: u32,
    owned: u32,
    message: String,
    blackouts: Vec<Blackout>,
}

impl Status {
    pub fn of(status: &succession::Status, khz: Option<u64>) -> Self {
        Self {
            version: text::plain(&status.version),
            incumbent: status.incumbent,
            phase: phase(status.phase),
            generation: status.generation,
            resources: status.resources,
            owned: status.owned,
            message: text::plain(&status.message),
            blackouts: status.blackouts.iter().map(|blackout| Blackout::of(blackout, khz)).collect(),
        }
    }
}

#[derive(Serialize)]
pub struct Blackout {
    vm: String,
    vcpu: u32,
    ticks: u64,
    us: Option<u64>,
}

impl Blackout {
    pub fn of(blackout: &succession::Blackout, khz: Option<u64>) -> Self {
        let us = khz.and_then(|khz| u128::from(blackout.ticks).saturating_mul(1000).checked_div(khz.into()));
        Self {
            vm: text::plain(&blackout.vm),
            vcpu: blackout.vcpu,
            ticks: blackout.ticks,
            us: us.and_then(|us| u64::try_from(us).ok()),
        }
    }
}

#[derive(Serialize)]
pub struct Resource<'a> {
    name: &'a str,
    party: &'static str,
    owner: String,
    state: &'a str,
    bytes: u64,
}

impl<'a> Resource<'a> {
    pub fn of(resource: &'a picture::Resource, picture: &Picture) -> Self {
        Self {
            name: &resource.name,
            party: resource.owner.word(),
            owner: picture.called(resource.owner),
            state: &resource.state,
            bytes: resource.bytes,
        }
    }
}

/// How fast the machine's TSC is, where the root service tells.
pub fn tsc_khz(system: &mut System) -> Option<u64> {
    system.inventory().ok().map(|inventory| inventory.tsc_khz).filter(|&khz| khz > 0)
}

/// Prints the table of blackouts, if there were any.
pub fn blackouts(
    blackouts: &[succession::Blackout],
    khz: Option<u64>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if blackouts.is_empty() {
        return Ok(());
    }
    let row = |blackout: &succession::Blackout| {
        let view = Blackout::of(blackout, khz);
        let time = view.us.map(|us| format!("{}.{:03} ms", us / 1000, us % 1000));
        vec![view.vm, view.vcpu.to_string(), time.unwrap_or_else(|| format!("{} ticks", view.ticks))]
    };
    output.line("")?;
    output.table(&["VM", "vCPU", "Blackout"], &blackouts.iter().map(row).collect::<Vec<_>>())
}
