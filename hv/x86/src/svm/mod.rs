// SPDX-License-Identifier: MIT OR Apache-2.0
//! AMD's virtualization extension: one round of a guest, and what goes before and after it.
//!
//! Owns the control block ([`vmcb`]), the way into the guest and back (`run`, `enter.S`), the
//! transfer of state between the control block and the page that a VMM shares (`transfer`), and the
//! registers that VMRUN does not switch (`fpu`). Invariants: the whole state of the host is back
//! after every exit; nothing of the host is ever exported; nothing that a VMM writes reaches a
//! register before `vcpu` has judged it. Entered by the kernel alone; which thread runs a vCPU,
//! what a nested fault means and when to flush is the kernel's.
//!
//! Order of a round: [`run`] until the exit is for the VMM, then [`publish`]. APM vol. 2,
//! chapter 15.

mod cpu;
mod fpu;
mod pages;
mod probe;
mod run;
mod transfer;
mod vmcb;

pub use cpu::{Cpu, enable_this_cpu};
pub use fpu::{evict_any, evict_fpu, forget_fpu, fpu_home, load_fpu};
pub use pages::{Pages, PrivatePage, SharedPage};
pub use run::{flush_next, init, publish, reflect, run, set_asid};
pub use transfer::{export, import};
pub use vmcb::Vmcb;
