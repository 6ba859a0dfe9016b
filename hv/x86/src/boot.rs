// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the boot loader and the firmware said.

use abi::boot::Virtualization;

/// A range of physical memory, page-aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// A boot module. Its last page is filled up with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// First word of the module's string.
    pub name: &'static str,
    /// Physical address, page-aligned.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// What the boot loader and the firmware said.
#[derive(Debug)]
pub struct BootFacts {
    /// Memory that nobody uses, sorted, page-aligned, above 1 MiB; neither image nor modules are in it.
    pub available: &'static [Range],
    /// Memory that is listed by the firmware but kept by it.
    pub reserved: &'static [Range],
    /// The image with all its tables and stacks.
    pub image: Range,
    /// Modules.
    pub modules: &'static [Module],
    /// Command line.
    pub command_line: &'static str,
    /// Physical address of the ACPI root pointer, 0 if it is not known.
    pub rsdp: u64,
    /// APIC ids of the CPUs that can be used, the boot CPU first. At most [`abi::boot::MAX_CPUS`].
    pub cpus: &'static [u32],
    /// Whether VMs can run here.
    pub virtualization: Virtualization,
    /// TSC at the entry of the core.
    pub entry_tsc: u64,
}

/// What the boot loader and the firmware said.
#[must_use]
pub fn facts() -> &'static BootFacts {
    todo!()
}

/// Whether the command line has this word.
#[must_use]
pub fn has_option(word: &str) -> bool {
    facts().command_line.split_ascii_whitespace().any(|option| option == word)
}
