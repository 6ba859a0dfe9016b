// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest: the system as data.
//!
//! `services/system.toml` is compiled on the host (`source::compile`, feature `host`) into the boot
//! module `manifest`: [`MAGIC`], then a [`Manifest`] in postcard. The root service reads it and
//! does nothing that it does not say: it is the one place where it is decided who may do what.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::environment::VmKind;

#[cfg(feature = "host")]
pub mod source;

/// First bytes of the module; the last one is the version.
pub const MAGIC: [u8; 8] = *b"USMANIF\x03";
/// Most partitions.
pub const MAX_PARTITIONS: usize = 31;
/// Most bytes of a name.
pub const MAX_NAME: usize = 24;
/// Name under which partitions call the root service.
pub const ROOT: &str = "root";
/// Highest priority of a partition.
pub const MAX_PRIORITY: u8 = 200;

/// The whole system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Partitions, in the order in which they start.
    pub partitions: Vec<Partition>,
    /// Secret of the operator channel.
    pub secret: Option<[u8; 32]>,
}

/// When a partition is started anew after a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", serde(rename_all = "lowercase"))]
pub enum Restart {
    /// Always, unless it faults too often.
    #[default]
    Always,
    /// Never.
    Never,
}

/// I/O ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// A service, or a VM with its VMM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Name: its interface's, or its VM's.
    pub name: String,
    /// File in the archive of services.
    pub image: String,
    /// CPU, modulo those there are.
    pub cpu: u32,
    /// Priority of its thread, 1 to [`MAX_PRIORITY`].
    pub priority: u8,
    /// Bytes of heap.
    pub heap_bytes: u64,
    /// Bytes of stack.
    pub stack_bytes: u64,
    /// Reply objects: how many callers it can hold at once.
    pub replies: u32,
    /// When it is started anew.
    pub restart: Restart,
    /// Whom it may call.
    pub calls: Vec<String>,
    /// Whom it may call and control.
    pub controls: Vec<String>,
    /// I/O ports that it alone has.
    pub ports: Vec<Ports>,
    /// Interrupt lines that it alone has.
    pub interrupts: Vec<u32>,
    /// VMs whose memory it may seal, read and restore.
    pub checkpoints: Vec<String>,
    /// Bytes of page store.
    pub store_bytes: u64,
    /// Whether it is told the secret of the operator channel.
    pub secret: bool,
    /// Seconds within which it has to answer root's watch; 0 where it is not watched.
    pub answers_within: u32,
    /// Its VM.
    pub vm: Option<Vm>,
    /// Whether it may give up the machine piece by piece and take pieces in ([`crate::estate`]).
    pub succession: bool,
}

/// A VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// How it is loaded.
    pub kind: VmKind,
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Boot module with its kernel.
    pub kernel: String,
    /// Boot module with its initial file system; empty for none.
    pub initrd: String,
    /// Command line.
    pub command_line: String,
    /// How many checkpoints it may have.
    pub quota: u32,
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The partition that it is in, as far as it is in one.
    pub partition: Option<usize>,
    /// What.
    pub text: String,
}

impl Manifest {
    /// The module's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        // Encoding into a growing vector cannot fail: there is no value here that postcard refuses.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// Reads and checks the module's bytes.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        let flaw = |text: &str| Flaw { partition: None, text: text.into() };
        let body = bytes.strip_prefix(&MAGIC).ok_or_else(|| flaw("not a manifest of this version"))?;
        let manifest: Manifest = postcard::from_bytes(body).map_err(|_| flaw("the manifest is damaged"))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The partition with this name and its place.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Partition)> {
        self.partitions.iter().enumerate().find(|(_, partition)| partition.name == name)
    }

    /// Looks for flaws.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn check(&self) -> Result<(), Flaw> {
        if self.partitions.len() > MAX_PARTITIONS {
            let text = format!("more than {MAX_PARTITIONS} partitions");
            return Err(Flaw { partition: None, text });
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            let flaw = |text: String| Flaw { partition: Some(index), text };
            partition.check().map_err(flaw)?;
            self.check_names(index, partition).map_err(flaw)?;
            self.check_sole(index, partition).map_err(flaw)?;
        }
        Ok(())
    }

    /// Does every name that the partition uses exist?
    fn check_names(&self, index: usize, partition: &Partition) -> Result<(), String> {
        if self.partitions[..index].iter().any(|other| other.name == partition.name) {
            return Err(format!("there is a partition {:?} already", partition.name));
        }
        for name in partition.calls.iter().chain(&partition.controls) {
            if name != ROOT && self.find(name).is_none() {
                return Err(format!("calls {name:?}, which does not exist"));
            }
            if *name == partition.name {
                return Err("calls itself".into());
            }
        }
        for name in &partition.checkpoints {
            if self.find(name).is_none_or(|(_, vm)| vm.vm.is_none()) {
                return Err(format!("checkpoints {name:?}, which is not a VM"));
            }
        }
        Ok(())
    }

    /// Is what it alone may have not given to an earlier one too?
    fn check_sole(&self, index: usize, partition: &Partition) -> Result<(), String> {
        for other in &self.partitions[..index] {
            for a in &partition.ports {
                if other.ports.iter().any(|b| a.first <= b.last && b.first <= a.last) {
                    return Err(format!("ports {:#x}-{:#x} belong to {:?}", a.first, a.last, other.name));
                }
            }
            for line in &partition.interrupts {
                if other.interrupts.contains(line) {
                    return Err(format!("interrupt {line} belongs to {:?}", other.name));
                }
            }
            if partition.checkpoints.iter().any(|vm| other.checkpoints.contains(vm)) {
                return Err(format!("{:?} checkpoints the same VM", other.name));
            }
        }
        Ok(())
    }
}

/// Whether a name is one: small letters, digits and `-`, beginning with a letter.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= MAX_NAME
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && name.bytes().all(plain)
}

/// Whether `bytes` is a multiple of `unit` between one unit and `most`.
fn is_size(bytes: u64, unit: u64, most: u64) -> bool {
    bytes >= unit && bytes <= most && bytes.is_multiple_of(unit)
}

impl Partition {
    fn check(&self) -> Result<(), String> {
        if !is_name(&self.name) || self.name == ROOT {
            return Err(format!("{:?} is no name for a partition", self.name));
        }
        if !is_name(&self.image) {
            return Err(format!("{:?} is no name of an image", self.image));
        }
        if self.priority == 0 || self.priority > MAX_PRIORITY {
            return Err(format!("priority {} is not between 1 and {MAX_PRIORITY}", self.priority));
        }
        if !is_size(self.heap_bytes, 4 << 10, 1 << 30) {
            return Err("heap is not a multiple of 4 KiB up to 1 GiB".into());
        }
        if !is_size(self.stack_bytes, 4 << 10, 16 << 20) {
            return Err("stack is not a multiple of 4 KiB up to 16 MiB".into());
        }
        if !(1..=32).contains(&self.replies) {
            return Err("replies is not between 1 and 32".into());
        }
        if self.ports.iter().any(|ports| ports.first > ports.last) {
            return Err("ports end before they begin".into());
        }
        if self.interrupts.len() > 32 || self.ports.len() > 32 {
            return Err("more than 32 port ranges or interrupts".into());
        }
        if self.store_bytes != 0 && !is_size(self.store_bytes, 2 << 20, 1 << 40) {
            return Err("store is not a multiple of 2 MiB".into());
        }
        self.vm.as_ref().map_or(Ok(()), Vm::check)
    }
}

impl Vm {
    fn check(&self) -> Result<(), String> {
        if !is_size(self.memory_bytes, 2 << 20, 3 << 30) {
            return Err("memory is not a multiple of 2 MiB up to 3 GiB".into());
        }
        if !(1..=16).contains(&self.vcpus) {
            return Err("vcpus is not between 1 and 16".into());
        }
        if self.kernel.is_empty() {
            return Err("no kernel is named".into());
        }
        if self.command_line.len() > 2000 {
            return Err("command line is longer than 2000 bytes".into());
        }
        Ok(())
    }
}
