// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of the two parties and of everything that changes owner between them.
//!
//! Owns the order in which resources are looked at: VMs, vCPUs, lines, extents, and CPUs last. The
//! order in which they are given is another one (`give.rs`). What a number stands for on the
//! machine is the inventory's to say, which whoever begins writes beside the ledger
//! (`api::estate`).

/// One of the two hypervisors. Which of them is the incumbent is said by the ledger's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// The one that wrote the ledger.
    First,
    /// The one that was started beside it.
    Second,
}

impl Party {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// One thing with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A VM. Its word is the one that decides: vCPUs, and what is bound to the VM, follow it.
    Vm(u8),
    /// A vCPU: number of the VM, number within it.
    Vcpu(u8, u8),
    /// An interrupt line.
    Line(u8),
    /// A physical CPU.
    Cpu(u8),
    /// An extent of memory.
    Extent(u8),
}

/// How many of each kind a ledger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// VMs.
    pub vms: u8,
    /// The largest number of vCPUs that a VM has; words of vCPUs that do not exist are absent.
    pub vcpus: u8,
    /// Interrupt lines.
    pub lines: u8,
    /// CPUs.
    pub cpus: u8,
    /// Memory extents.
    pub extents: u8,
}

impl Shape {
    /// Most that a ledger of version 1 has room for.
    pub const MOST: Self = Self { vms: 32, vcpus: 16, lines: 160, cpus: 64, extents: 224 };

    /// Whether nothing exceeds [`Shape::MOST`].
    #[must_use]
    pub const fn fits(&self) -> bool {
        let most = Self::MOST;
        self.vms <= most.vms
            && self.vcpus <= most.vcpus
            && self.lines <= most.lines
            && self.cpus <= most.cpus
            && self.extents <= most.extents
    }

    /// Every resource: VMs, vCPUs, lines, extents, and CPUs last, because a party leaves with its
    /// last CPU.
    pub fn all(self) -> impl Iterator<Item = Resource> {
        (0..self.vms)
            .map(Resource::Vm)
            .chain((0..self.vms).flat_map(move |vm| self.of(vm)))
            .chain(self.plain())
    }

    /// The vCPUs of a VM.
    pub fn of(self, vm: u8) -> impl Iterator<Item = Resource> {
        (0..self.vcpus).map(move |vcpu| Resource::Vcpu(vm, vcpu))
    }

    /// Everything that is neither VM nor vCPU.
    pub fn plain(self) -> impl Iterator<Item = Resource> {
        (0..self.lines)
            .map(Resource::Line)
            .chain((0..self.extents).map(Resource::Extent))
            .chain((0..self.cpus).map(Resource::Cpu))
    }
}
