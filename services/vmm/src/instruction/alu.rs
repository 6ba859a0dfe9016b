// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arithmetic and logic on device memory, with its flags.
//!
//! Owns the results and flags of the few operations that occur on device registers (AMD APM vol.
//! 3). Where the manual leaves a flag undefined, it is cleared.

use super::operand::mask;
use crate::vcpu::flag;
use iced_x86::Mnemonic;

/// Operations with two operands; the first receives the result, unless it is only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    And,
    Or,
    Xor,
    Add,
    Sub,
    Compare,
    Test,
}

impl Operation {
    pub(super) fn of(mnemonic: Mnemonic) -> Option<Self> {
        Some(match mnemonic {
            Mnemonic::And => Operation::And,
            Mnemonic::Or => Operation::Or,
            Mnemonic::Xor => Operation::Xor,
            Mnemonic::Add => Operation::Add,
            Mnemonic::Sub => Operation::Sub,
            Mnemonic::Cmp => Operation::Compare,
            Mnemonic::Test => Operation::Test,
            _ => return None,
        })
    }

    /// Returns whether the result is kept.
    pub(super) fn stores(self) -> bool {
        !matches!(self, Operation::Compare | Operation::Test)
    }

    /// Result and new RFLAGS.
    pub(super) fn apply(self, left: u64, right: u64, bytes: usize, rflags: u64) -> (u64, u64) {
        let mask = mask(bytes);
        let sign = 1_u64 << (bytes.clamp(1, 8) * 8 - 1);
        let (left, right) = (left & mask, right & mask);
        let (result, carry, overflow, adjust) = match self {
            Operation::And | Operation::Test => (left & right, false, false, false),
            Operation::Or => (left | right, false, false, false),
            Operation::Xor => (left ^ right, false, false, false),
            Operation::Add => {
                let sum = left.wrapping_add(right) & mask;
                (sum, sum < left, (left ^ sum) & (right ^ sum) & sign != 0, true)
            }
            Operation::Sub | Operation::Compare => {
                let difference = left.wrapping_sub(right) & mask;
                (difference, left < right, (left ^ right) & (left ^ difference) & sign != 0, true)
            }
        };
        let mut flags =
            rflags & !(flag::CARRY | flag::PARITY | flag::ADJUST | flag::ZERO | flag::SIGN | flag::OVERFLOW);
        for (set, bit) in [
            (carry, flag::CARRY),
            ((result as u8).count_ones().is_multiple_of(2), flag::PARITY),
            (adjust && (left ^ right ^ result) & 0x10 != 0, flag::ADJUST),
            (result == 0, flag::ZERO),
            (result & sign != 0, flag::SIGN),
            (overflow, flag::OVERFLOW),
        ] {
            if set {
                flags |= bit;
            }
        }
        (result, flags)
    }
}
