// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the root service is given: slots that are filled, and a description of the estate.
//!
//! The root service starts with RDI = address of its [`BootInfo`], RSI = address of its IPC buffer,
//! and a stack.

/// Slots of the root service's CSpace that are filled at boot.
pub mod slot {
    use crate::CPtr;
    /// Its own CNode.
    pub const CNODE: CPtr = 1;
    /// Its own host space.
    pub const SPACE: CPtr = 2;
    /// Its own thread.
    pub const THREAD: CPtr = 3;
    /// Its IPC buffer.
    pub const IPC_BUFFER: CPtr = 4;
    /// The machine.
    pub const MACHINE: CPtr = 5;
    /// All I/O ports.
    pub const PORTS: CPtr = 6;
    /// The first CPU; as many follow as there are ([`super::BootInfo::cpu_count`], at most
    /// [`super::MAX_CPUS`]).
    pub const FIRST_CPU: CPtr = 16;
    /// Untyped memory, module frames and free slots follow as `BootInfo` says.
    pub const FIRST_OTHER: CPtr = 128;
}

/// Counters for `MachineCounter`.
pub mod counter {
    /// TSC ticks from the entry of the core to the start of the root service.
    pub const BOOT_TICKS: u64 = 0;
    /// Times that other CPUs were stopped for a change of capabilities.
    pub const RENDEZVOUS: u64 = 1;
    /// Exits of all vCPUs on the caller's CPU.
    pub const EXITS: u64 = 2;
    /// Times that another CPU stopped or interrupted the caller's CPU.
    pub const DISTURBANCES: u64 = 3;
}

/// The interrupt line by which instances ring each other (`MachineRing`): no pin of an I/O APIC.
/// Its vector, which both sides have to know, is 0x40 more.
pub const DOORBELL: u64 = 159;
/// "UNDERSTU" as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UNDERSTU");
/// Most CPUs that the core starts.
pub const MAX_CPUS: usize = 64;
/// Most untyped capabilities at boot.
pub const MAX_UNTYPED: usize = 160;
/// Most boot modules.
pub const MAX_MODULES: usize = 32;
/// Most memory regions listed.
pub const MAX_REGIONS: usize = 64;
/// Most bytes of the command line.
pub const MAX_COMMAND_LINE: usize = 1024;
/// Most bytes of a module's name.
pub const MAX_MODULE_NAME: usize = 64;
/// log2 of the slots in the root service's CNode.
pub const ROOT_CNODE_RADIX: u8 = 14;

/// Whether VMs can run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Virtualization {
    /// SVM and nested paging are there.
    Svm = 0,
    /// The processor has no SVM.
    NoSvm = 1,
    /// It has SVM without nested paging.
    NoNestedPaging = 2,
    /// SVM is there but the firmware has locked it off (`VM_CR.SVMDIS`).
    DisabledByFirmware = 3,
}

impl Virtualization {
    /// The value with this number; unknown numbers read as [`Virtualization::NoSvm`].
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Virtualization::Svm,
            2 => Virtualization::NoNestedPaging,
            3 => Virtualization::DisabledByFirmware,
            _ => Virtualization::NoSvm,
        }
    }
}

/// One untyped capability.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct UntypedInfo {
    /// Slot.
    pub slot: u64,
    /// Physical address.
    pub base: u64,
    /// log2 of its bytes.
    pub size_bits: u64,
}

/// One boot module: `slots` frame capabilities from `first_slot` on, which follow each other in
/// memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModuleInfo {
    /// Name (the module's string in the boot loader's configuration), filled up with zeros.
    pub name: [u8; MAX_MODULE_NAME],
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// First slot.
    pub first_slot: u64,
    /// Number of slots.
    pub slots: u64,
}

/// Kind of a memory region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum RegionKind {
    /// Handed out as untyped memory.
    Untyped = 1,
    /// The core's image, tables and stacks.
    Core = 2,
    /// Boot modules.
    Module = 3,
    /// Kept by the firmware or of another kind.
    Reserved = 4,
}

/// One memory region of the machine, for the inventory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RegionInfo {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// A [`RegionKind`].
    pub kind: u64,
}

/// What the root service is told.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub abi_version: u32,
    /// A [`Virtualization`].
    pub virtualization: u32,
    /// CPUs that run.
    pub cpu_count: u64,
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// Ticks of the APIC timer per TSC tick, in units of 2^-32: what a successor is told.
    pub timer_ratio: u64,
    /// Physical address of the ACPI root pointer, 0 if none was found.
    pub acpi_rsdp: u64,
    /// First slot that is free; all after it are.
    pub first_free_slot: u64,
    /// Entries of `untyped` in use.
    pub untyped_count: u64,
    /// Entries of `modules` in use.
    pub module_count: u64,
    /// Entries of `regions` in use.
    pub region_count: u64,
    /// Bytes of `command_line` in use.
    pub command_line_len: u64,
    /// Seed of 32 bytes for secrets: from RDRAND where there is one, from timing otherwise.
    pub seed: [u8; 32],
    /// A page below 1 MiB in which CPUs are started, in use by nobody else; 0 for none.
    pub start_page: u64,
    /// APIC id per CPU.
    pub apic_ids: [u32; MAX_CPUS],
    /// Untyped memory.
    pub untyped: [UntypedInfo; MAX_UNTYPED],
    /// Boot modules.
    pub modules: [ModuleInfo; MAX_MODULES],
    /// Memory of the machine.
    pub regions: [RegionInfo; MAX_REGIONS],
    /// The core's command line.
    pub command_line: [u8; MAX_COMMAND_LINE],
}

const _: () = assert!(core::mem::size_of::<BootInfo>() == 3 * 4096);
