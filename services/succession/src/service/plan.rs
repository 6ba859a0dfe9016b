// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plan: what a succession to the staged image would do, and what stands in its way.
//!
//! Asks root for a carve-out, the checkpoint service for what it has, the VMMs for the size of
//! their VMs, and the image for whether it has a place for all of it. Changes nothing, here or with
//! anyone asked; a succession begins only where no obstacle is left (`mod.rs`). That the image is
//! what was signed is seen to before it comes here (`image.rs`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use api::checkpoint::Info;
use api::estate;
use api::manifest::Manifest;
use api::succession::Plan;
use bundle::{Bundle, Header, Span, Version, compatible};
use succession::multiboot::Core;

use super::checkpoints::{places, unfinished, without_place};
use super::image::manifest_of;
use super::{Service, VERSION, launch};

impl Service {
    /// What a succession to the staged image would do, and what stands in its way.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan { from: VERSION.into(), memory_bytes: launch::CARVE_OUT, ..Plan::default() };
        if self.course.is_some() {
            plan.obstacles.push("a succession is under way".into());
            return plan;
        }
        match self.estate(estate::Request::Examine(launch::CARVE_OUT)) {
            Ok(estate::Reply::Fit { cpu, console, vms }) => {
                (plan.cpu, plan.console, plan.vms) = (cpu, console, vms);
            }
            Ok(other) => plan.obstacles.push(format!("root: {other:?}")),
            Err(why) => plan.obstacles.push(why),
        }
        let checkpoints = self.checkpoints().unwrap_or_else(|why| {
            plan.obstacles.push(why);
            Vec::new()
        });
        plan.obstacles.extend(unfinished(&checkpoints));
        match self.image.open() {
            Ok(bundle) => {
                plan.to = bundle.header().version.to_string();
                plan.obstacles.extend(self.unfit(&bundle, &plan.vms, &checkpoints));
            }
            Err(why) => plan.obstacles.push(format!("the image is refused: {why}")),
        }
        plan
    }

    /// Why this image cannot follow.
    fn unfit(&self, bundle: &Bundle<'_>, vms: &[String], checkpoints: &[Info]) -> Vec<String> {
        let mut reasons = Vec::new();
        match ours() {
            Some(ours) => reasons.extend(compatible(bundle.header(), &ours).err().map(|why| why.to_string())),
            None => reasons.push(format!("this hypervisor's version {VERSION:?} is none")),
        }
        reasons.extend(
            ["root", "services"]
                .iter()
                .filter(|name| bundle.entry(name).is_none())
                .map(|name| format!("the image has no {name}")),
        );
        let core = bundle.entry("core").map(|core| Core::read(core).map_err(|bad| bad.0));
        match core {
            Some(Ok(_)) => {}
            Some(Err(why)) => reasons.push(why.into()),
            None => reasons.push("the image has no core".into()),
        }
        match manifest_of(bundle) {
            Ok(manifest) => {
                reasons.extend(vms.iter().filter_map(|name| self.unfit_vm(&manifest, name)));
                reasons.extend(without_place(places(&manifest), checkpoints));
            }
            Err(why) => reasons.push(why),
        }
        reasons
    }

    /// Why the image's manifest has no place for a VM.
    fn unfit_vm(&self, manifest: &Manifest, name: &str) -> Option<String> {
        let Some(vm) = manifest.find(name).and_then(|(_, partition)| partition.vm.as_ref()) else {
            return Some(format!("the image's manifest has no VM {name:?}"));
        };
        let status = self.vm_status(name).ok()?;
        let same = vm.memory_bytes == status.memory_bytes && vm.vcpus == status.vcpus;
        (!same).then(|| format!("the image's manifest gives VM {name:?} other memory or vCPUs"))
    }
}

/// What this hypervisor is, as images are compared with it.
fn ours() -> Option<Header> {
    let state = Span::new(u16::from(state::FORMAT), u16::from(state::FORMAT));
    let protocol = Span::new(succession::VERSION, succession::VERSION);
    Some(Header::new(Version::parse(VERSION)?, abi::VERSION, state, protocol))
}
