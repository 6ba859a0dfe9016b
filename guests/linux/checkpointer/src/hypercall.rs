// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two instructions by which a Linux program reaches the system beneath: CPUID to find it,
//! VMMCALL to ask.
//!
//! Owns this program's only unsafe code. Numbers and their meaning are in [`abi::hypercall`].

use abi::hypercall;
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

/// What CPUID says of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Version.
    pub version: u32,
    /// A bit per function.
    pub functions: u32,
}

/// The interface, if there is one beneath.
pub fn discover() -> Option<Features> {
    let leaf = __cpuid_count(hypercall::LEAF_SIGNATURE, 0);
    let mut signature = [0; 12];
    for (place, word) in signature.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    if signature != hypercall::SIGNATURE || leaf.eax < hypercall::LEAF_FEATURES {
        return None;
    }
    let leaf = __cpuid_count(hypercall::LEAF_FEATURES, 0);
    Some(Features { version: leaf.eax, functions: leaf.ebx })
}

/// Calls a function with the token; returns status and result.
///
/// Only after [`discover`] has found the interface: elsewhere the instruction ends the program.
pub fn call(token: [u8; 16], function: u64, argument: u64) -> (u64, u64) {
    let (low, high) = token.split_at(8);
    let half = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let (mut rbx, rcx): (u64, u64) = (half(low), half(high));
    let status;
    // SAFETY: The system beneath reads the named registers, writes RAX and RBX, and leaves the rest
    // and the program's memory as they are. RBX is reserved by the compiler, so it is exchanged
    // around the instruction.
    unsafe {
        asm!(
            "xchg {rbx}, rbx",
            "vmmcall",
            "xchg {rbx}, rbx",
            rbx = inout(reg) rbx,
            inlateout("rax") hypercall::MAGIC | function => status,
            in("rcx") rcx,
            in("rdx") argument,
        );
    }
    (status, rbx)
}
