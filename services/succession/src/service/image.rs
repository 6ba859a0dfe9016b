// SPDX-License-Identifier: MIT OR Apache-2.0
//! The staged image: received in parts, checked before anything of it is used.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use api::checkpoint::Info;
use api::estate::{self, Vm};
use api::manifest::Manifest;
use api::succession::{MAX_IMAGE, Plan};
use bundle::{Bundle, Header, PublicKey, Span, Version, compatible, key_from_hex};
use succession::multiboot::Core;

use super::checkpoints::{unfinished, without_place};
use super::{Service, VERSION, checkpoints, launch};

/// Public half of the key that images are signed with, as hexadecimal digits; set by the build.
const KEY: Option<&str> = option_env!("UNDERSTUDY_IMAGE_KEY");

/// An image, or the part of it that has arrived.
#[derive(Default)]
pub struct Image {
    bytes: Vec<u8>,
    expected: u64,
}

impl Image {
    /// Begins to receive an image.
    pub fn begin(&mut self, bytes: u64) -> Result<(), String> {
        if bytes == 0 || bytes > MAX_IMAGE {
            return Err(format!("an image has at most {MAX_IMAGE} bytes"));
        }
        self.bytes = Vec::new();
        let room = self.bytes.try_reserve_exact(bytes as usize);
        room.map_err(|_| format!("there is no room for an image of {bytes} bytes in this service's memory"))?;
        self.expected = bytes;
        Ok(())
    }

    /// Takes the next part; says how much is here. A part that was taken before is no error.
    pub fn append(&mut self, offset: u64, part: &[u8]) -> Result<u64, String> {
        let here = self.bytes.len() as u64;
        let end = offset.saturating_add(part.len() as u64);
        if offset < here && end <= here {
            return Ok(here);
        }
        if offset != here || end > self.expected {
            return Err(format!(
                "{here} bytes of {} are here; this part does not follow them",
                self.expected
            ));
        }
        self.bytes.extend_from_slice(part);
        Ok(end)
    }

    /// The image, checked.
    pub fn open(&self) -> Result<Bundle<'_>, String> {
        if self.expected == 0 {
            return Err("no image was sent".into());
        }
        if (self.bytes.len() as u64) < self.expected {
            return Err(format!("only {} bytes of {} have arrived", self.bytes.len(), self.expected));
        }
        let key = key().ok_or("this hypervisor was built without a key for images: none can be accepted")?;
        Bundle::open(&self.bytes, &key).map_err(|refused| refused.to_string())
    }
}

/// The VMs whose checkpoints an image has a place for.
pub fn places(bundle: &Bundle<'_>) -> Result<Vec<String>, String> {
    Ok(checkpoints::places(&manifest_of(bundle)?).to_vec())
}

fn manifest_of(bundle: &Bundle<'_>) -> Result<Manifest, String> {
    let manifest = Manifest::decode(bundle.entry("manifest").unwrap_or_default());
    manifest.map_err(|flaw| format!("the image's manifest: {}", flaw.text))
}

fn key() -> Option<PublicKey> {
    key_from_hex(KEY?)
}

/// What this hypervisor is, as images are compared with it.
fn ours() -> Option<Header> {
    let state = Span::new(u16::from(state::FORMAT), u16::from(state::FORMAT));
    let protocol = Span::new(succession::VERSION, succession::VERSION);
    Some(Header::new(Version::parse(VERSION)?, abi::VERSION, state, protocol))
}

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
                reasons.extend(without_place(checkpoints::places(&manifest), checkpoints));
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

/// A VM that the inventory names, for its place.
pub fn name_of(vms: &[Vm], vm: u8) -> &str {
    vms.get(usize::from(vm)).map_or("", |vm| &vm.name)
}
