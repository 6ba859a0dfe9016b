// SPDX-License-Identifier: MIT OR Apache-2.0
//! AMD SVM as far as it can be known without a processor that has it.
//!
//! Owns the exit codes and what they mean in the words of `vcpu` (`exit`), and which instructions
//! and registers end in an exit (`policy`). The control block and the instructions themselves are
//! in `x86_machine::svm`.
#![no_std]
#![forbid(unsafe_code)]

pub mod exit;
pub mod policy;
