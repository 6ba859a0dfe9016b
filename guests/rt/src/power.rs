// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways out.

use super::cpu::{halt_forever, out8};
use abi::guest::{POWER_OFF, RESET, RESET_PORT, SLEEP_CONTROL_PORT};

/// Powers the VM off.
pub fn off() -> ! {
    out8(SLEEP_CONTROL_PORT, POWER_OFF);
    halt_forever()
}

/// Resets the VM.
pub fn reset() -> ! {
    out8(RESET_PORT, RESET);
    halt_forever()
}
