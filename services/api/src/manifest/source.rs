// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest as people write it: TOML. Only on the host.
//!
//! ```toml
//! [[service]]
//! name = "console"            # also the name of its image, unless `image` says another
//! priority = 200
//! ports = ["0x3f8-0x3ff"]
//!
//! [[vm]]
//! name = "linux"
//! kind = "linux"              # or "unikernel"
//! memory = "256 MiB"
//! kernel = "guest/vmlinuz"    # boot modules
//! initrd = "guest/initrd"
//! quota = 4
//! calls = ["console", "checkpoint"]
//! ```

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Flaw, Manifest, Partition, Ports, Restart, Vm};
use crate::environment::VmKind;

/// What is wrong with a source, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Line, from 1 on.
    pub line: usize,
    /// What.
    pub text: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for SourceError {}

/// Compiles a source to the bytes of the boot module `manifest`. `secret` is the operator's; the
/// services that say `secret = true` are told it.
///
/// # Errors
/// The first thing wrong, with its line.
pub fn compile(source: &str, secret: Option<[u8; 32]>) -> Result<Vec<u8>, SourceError> {
    read(source, secret).map(|manifest| manifest.encode())
}

/// Reads a source.
///
/// # Errors
/// The first thing wrong, with its line.
pub fn read(source: &str, secret: Option<[u8; 32]>) -> Result<Manifest, SourceError> {
    let file: File = toml::from_str(source).map_err(|error| SourceError {
        line: line_of(source, error.span().map_or(0, |span| span.start)),
        text: error.message().into(),
    })?;
    let places: Vec<usize> =
        file.service.iter().map(|s| s.span().start).chain(file.vm.iter().map(|v| v.span().start)).collect();
    let services = file.service.into_iter().map(|service| service.into_inner().into());
    let vms = file.vm.into_iter().map(|vm| vm.into_inner().into());
    let manifest = Manifest { partitions: services.chain(vms).collect(), secret };
    let located = |Flaw { partition, text }: Flaw| {
        let place = partition.and_then(|index| places.get(index)).copied().unwrap_or(0);
        let text = match partition.and_then(|index| manifest.partitions.get(index)) {
            Some(partition) => format!("{}: {text}", partition.name),
            None => text,
        };
        SourceError { line: line_of(source, place), text }
    };
    manifest.check().map_err(located)?;
    Ok(manifest)
}

/// The images that the archive of services has to hold, and the boot modules that VMs need.
#[must_use]
pub fn files(manifest: &Manifest) -> (BTreeSet<String>, BTreeSet<String>) {
    let images = manifest.partitions.iter().map(|partition| partition.image.clone()).collect();
    let vms = manifest.partitions.iter().filter_map(|partition| partition.vm.as_ref());
    let modules = vms.flat_map(|vm| [vm.kernel.clone(), vm.initrd.clone()]);
    (images, modules.filter(|name| !name.is_empty()).collect())
}

fn line_of(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    service: Vec<Spanned<Service>>,
    #[serde(default)]
    vm: Vec<Spanned<VmSource>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    image: Option<String>,
    #[serde(default)]
    cpu: u32,
    priority: u8,
    #[serde(default = "default_heap")]
    heap: Size,
    #[serde(default = "default_stack")]
    stack: Size,
    #[serde(default = "default_replies")]
    replies: u32,
    #[serde(default)]
    restart: Restart,
    #[serde(default)]
    calls: Vec<String>,
    #[serde(default)]
    controls: Vec<String>,
    #[serde(default)]
    ports: Vec<PortsSource>,
    #[serde(default)]
    interrupts: Vec<u32>,
    #[serde(default)]
    checkpoints: Vec<String>,
    store: Option<Size>,
    #[serde(default)]
    secret: bool,
    #[serde(default = "default_answers_within")]
    answers_within: u32,
    #[serde(default)]
    succession: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VmSource {
    name: String,
    image: Option<String>,
    #[serde(default)]
    cpu: u32,
    #[serde(default = "default_vm_priority")]
    priority: u8,
    #[serde(default = "default_heap")]
    heap: Size,
    #[serde(default = "default_stack")]
    stack: Size,
    #[serde(default)]
    restart: Restart,
    #[serde(default)]
    calls: Vec<String>,
    kind: VmKind,
    memory: Size,
    #[serde(default = "default_vcpus")]
    vcpus: u32,
    kernel: String,
    #[serde(default)]
    initrd: String,
    #[serde(default)]
    command_line: String,
    #[serde(default)]
    quota: u32,
}

fn default_heap() -> Size {
    Size(1 << 20)
}

fn default_stack() -> Size {
    Size(128 << 10)
}

fn default_replies() -> u32 {
    1
}

/// Seconds. Longer than any service waits for another one.
fn default_answers_within() -> u32 {
    150
}

fn default_vcpus() -> u32 {
    1
}

fn default_vm_priority() -> u8 {
    100
}

impl From<Service> for Partition {
    fn from(source: Service) -> Self {
        Self {
            image: source.image.unwrap_or_else(|| source.name.clone()),
            name: source.name,
            cpu: source.cpu,
            priority: source.priority,
            heap_bytes: source.heap.0,
            stack_bytes: source.stack.0,
            replies: source.replies,
            restart: source.restart,
            calls: source.calls,
            controls: source.controls,
            ports: source.ports.into_iter().map(|ports| ports.0).collect(),
            interrupts: source.interrupts,
            checkpoints: source.checkpoints,
            store_bytes: source.store.map_or(0, |size| size.0),
            secret: source.secret,
            answers_within: source.answers_within,
            vm: None,
            succession: source.succession,
        }
    }
}

impl From<VmSource> for Partition {
    fn from(source: VmSource) -> Self {
        let vm = Vm {
            kind: source.kind,
            memory_bytes: source.memory.0,
            vcpus: source.vcpus,
            kernel: source.kernel,
            initrd: source.initrd,
            command_line: source.command_line,
            quota: source.quota,
        };
        Self {
            image: source.image.unwrap_or_else(|| "vmm".into()),
            name: source.name,
            cpu: source.cpu,
            priority: source.priority,
            heap_bytes: source.heap.0,
            stack_bytes: source.stack.0,
            replies: 1,
            restart: source.restart,
            calls: source.calls,
            vm: Some(vm),
            ..Self::default()
        }
    }
}

/// A number of bytes: `"256 MiB"`, `"64 KiB"`, `"1 GiB"`, or a plain number.
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (number, unit) = text.split_once(' ').unwrap_or((&text, "B"));
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(D::Error::custom(format!("{unit:?} is no unit; use B, KiB, MiB or GiB"))),
        };
        let number: u64 = number.parse().map_err(|_| D::Error::custom(format!("{text:?} is no size")))?;
        number
            .checked_mul(1 << shift)
            .map(Size)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is too big")))
    }
}

/// A range of ports: `"0x3f8-0x3ff"`.
struct PortsSource(Ports);

impl<'de> Deserialize<'de> for PortsSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let port = |text: &str| {
            let digits = text.trim().strip_prefix("0x")?;
            u16::from_str_radix(digits, 16).ok()
        };
        match (port(first), port(last)) {
            (Some(first), Some(last)) => Ok(Self(Ports { first, last })),
            _ => Err(D::Error::custom(format!("{text:?} is no range of ports such as \"0x3f8-0x3ff\""))),
        }
    }
}

#[cfg(test)]
mod tests;
