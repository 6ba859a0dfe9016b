// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program in the guest asks by VMMCALL, and how it is answered.
//!
//! Owns the check of the token and the registers of call and return ([`abi::hypercall`]). What is
//! asked is done by [`crate::machine`]. Calls by another convention are those of the KVM-compatible
//! platform, of which there are none.

use abi::hypercall::{BAD_TOKEN, CHECKPOINT, MAGIC, QUOTA, RESTORE, UNKNOWN_FUNCTION};
use abi::vcpu::{VcpuPage, gpr, group};

/// KVM's answer to a function that it does not have.
const KVM_NO_FUNCTION: u64 = -1000_i64 as u64;
/// KVM's answer to a program.
const KVM_NO_PERMISSION: u64 = -1_i64 as u64;
const FUNCTION: u64 = 0xffff;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Nothing that can be had; the status to return.
    Refused(u64),
    /// A checkpoint.
    Checkpoint,
    /// The checkpoint with this id is to be restored.
    Restore(u64),
    /// How many checkpoints may still be created?
    Quota,
}

/// Reads a call from the registers; the token is compared in constant time.
#[must_use]
pub fn decode(page: &VcpuPage, token: &[u8; 16]) -> Call {
    let rax = page.gpr[gpr::RAX];
    if rax & !FUNCTION != MAGIC {
        return Call::Refused(if page.cpl == 0 { KVM_NO_FUNCTION } else { KVM_NO_PERMISSION });
    }
    let (low, high) = halves(token);
    let difference = (page.gpr[gpr::RBX] ^ low) | (page.gpr[gpr::RCX] ^ high);
    if core::hint::black_box(difference) != 0 {
        return Call::Refused(BAD_TOKEN);
    }
    match rax & FUNCTION {
        CHECKPOINT => Call::Checkpoint,
        RESTORE => Call::Restore(page.gpr[gpr::RDX]),
        QUOTA => Call::Quota,
        _ => Call::Refused(UNKNOWN_FUNCTION),
    }
}

/// Sets what the call returns: status and, where there is one, the result.
pub fn answer(page: &mut VcpuPage, status: u64, result: Option<u64>) {
    page.gpr[gpr::RAX] = status;
    if let Some(result) = result {
        page.gpr[gpr::RBX] = result;
    }
    page.dirty |= group::BASIC;
}

/// The token as it stands in RBX and RCX.
fn halves(token: &[u8; 16]) -> (u64, u64) {
    let half = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let (low, high) = token.split_at(8);
    (half(low), half(high))
}

#[cfg(test)]
mod tests {
    use super::{Call, decode};
    use crate::vcpu::blank_page;
    use abi::hypercall::{BAD_TOKEN, MAGIC, UNKNOWN_FUNCTION};
    use abi::vcpu::gpr;

    const TOKEN: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

    fn call(rax: u64, rbx: u64, cpl: u64) -> Call {
        let mut page = blank_page();
        page.cpl = cpl;
        page.gpr[gpr::RAX] = rax;
        page.gpr[gpr::RBX] = rbx;
        page.gpr[gpr::RCX] = 0x100f_0e0d_0c0b_0a09;
        page.gpr[gpr::RDX] = 9;
        decode(&page, &TOKEN)
    }

    #[test]
    fn the_token_opens_three_functions_at_any_privilege() {
        let token = 0x0807_0605_0403_0201;
        assert_eq!(call(MAGIC | 1, token, 3), Call::Checkpoint);
        assert_eq!(call(MAGIC | 2, token, 0), Call::Restore(9));
        assert_eq!(call(MAGIC | 3, token, 3), Call::Quota);
        assert_eq!(call(MAGIC | 4, token, 3), Call::Refused(UNKNOWN_FUNCTION));
    }

    #[test]
    fn a_wrong_token_learns_nothing_of_functions() {
        assert_eq!(call(MAGIC | 1, 1, 3), Call::Refused(BAD_TOKEN));
        assert_eq!(call(MAGIC | 0xff, 1, 3), Call::Refused(BAD_TOKEN));
    }

    #[test]
    fn calls_of_kvm_guests_are_answered_as_kvm_would() {
        assert_eq!(call(9, 0, 0), Call::Refused(-1000_i64 as u64));
        assert_eq!(call(9, 0, 3), Call::Refused(-1_i64 as u64));
    }
}
