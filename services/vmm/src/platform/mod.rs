// SPDX-License-Identifier: MIT OR Apache-2.0
//! The platform that a guest believes to run on: what its processor says of itself and what its
//! firmware tables say.
//!
//! Tables and policies, one file each, all plain logic. They agree with [`crate::device`], which
//! has the numbers of ports, pins and addresses. To an operating system the platform looks like
//! KVM's with hardware-reduced ACPI: no PIT, no PIC, no PCI, time from the paravirtual clock.

pub mod acpi;
pub mod cpuid;
pub mod msr;
