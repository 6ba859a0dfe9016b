// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking the system for something.

use abi::hypercall::{LEAF_SIGNATURE, MAGIC, SIGNATURE};
use core::arch::asm;

/// Whether this is an Understudy VM.
#[must_use]
pub fn is_present() -> bool {
    let [_, ebx, ecx, edx] = super::cpu::cpuid(LEAF_SIGNATURE, 0);
    let mut signature = [0; 12];
    for (bytes, register) in signature.chunks_exact_mut(4).zip([ebx, ecx, edx]) {
        bytes.copy_from_slice(&register.to_le_bytes());
    }
    signature == SIGNATURE
}

/// Calls a function of [`abi::hypercall`]: status and result.
#[must_use]
pub fn call(function: u64, token: &[u8; 16], argument: u64) -> (u64, u64) {
    let half = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&token[from..from + 8]);
        u64::from_le_bytes(bytes)
    };
    let (status, result);
    // SAFETY: RBX is put back; the call changes RAX and RBX only. After a restore the memory is
    // that of the checkpoint, taken at this very instruction, so what the compiler keeps in
    // registers still holds.
    unsafe {
        asm!(
            "xchg rbx, {token}",
            "vmmcall",
            "xchg rbx, {token}",
            token = inout(reg) half(0) => result,
            inout("rax") MAGIC | function => status,
            in("rcx") half(8),
            in("rdx") argument,
        );
    }
    (status, result)
}
