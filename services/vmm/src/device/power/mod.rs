// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power: the sleep and reset registers.
//!
//! Owns the two registers of hardware-reduced ACPI, the reset control register, and the one command
//! of a keyboard controller that resets. What follows is an [`Effect`]; the monitor decides. The
//! tables name these registers in the FADT ([`crate::platform::acpi`]). Follows ACPI 6.5, 4.8.3.7,
//! and [`abi::guest`] for the numbers.

use crate::device::contract::{Access, Device, Effect, Ports, Settings};
use crate::device::time::Clock;
use abi::guest::{RESET_PORT, SLEEP_CONTROL_PORT};
use state::{PowerControl, Unknown};

/// Sleep status register.
pub const SLEEP_STATUS_PORT: u16 = SLEEP_CONTROL_PORT + 1;
/// Command port of a keyboard controller.
pub const KEYBOARD_PORT: u16 = 0x64;
/// Sleep type that is S5.
pub const SLEEP_TYPE_OFF: u8 = 5;

const SLEEP_ENABLE: u8 = 1 << 5;
const SLEEP_TYPE_BITS: u8 = 7 << 2;
const RESET_NOW: u8 = 1 << 2;
const KEYBOARD_RESET: u8 = 0xfe;

/// The registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Sleep type last written, in its position.
    sleep_control: u8,
}

impl Device for Power {
    const PORTS: &'static [Ports] = &[
        Ports { first: SLEEP_CONTROL_PORT, count: 2 },
        Ports { first: RESET_PORT, count: 1 },
        Ports { first: KEYBOARD_PORT, count: 1 },
    ];

    fn new(_: &Settings) -> Self {
        Self::default()
    }

    fn read_port(&mut self, port: u16, _: &mut Access) -> Option<u8> {
        match port {
            SLEEP_CONTROL_PORT => Some(self.sleep_control),
            SLEEP_STATUS_PORT => Some(0),
            // Drivers read before they write; what they wrote before, they do not ask.
            RESET_PORT => Some(0),
            _ => None,
        }
    }

    fn write_port(&mut self, port: u16, value: u8, access: &mut Access) -> bool {
        // The registers are one byte wide; a wider access is meant for the PCI ports around 0xcf9.
        if access.width != 1 {
            return false;
        }
        access.effects.extend(self.command(port, value));
        true
    }

    fn save(&self, machine: &mut state::Machine, _: u64, _: &Clock) {
        let Self { sleep_control } = *self;
        machine.power = PowerControl { control: sleep_control, status: 0, unknown: Unknown::default() };
    }

    fn load(&mut self, machine: &state::Machine, _: &Clock) {
        let PowerControl { control, status: _, unknown: _ } = machine.power;
        *self = Self { sleep_control: control & SLEEP_TYPE_BITS };
    }
}

impl Power {
    fn command(&mut self, port: u16, value: u8) -> Option<Effect> {
        match port {
            SLEEP_CONTROL_PORT => {
                self.sleep_control = value & SLEEP_TYPE_BITS;
                let off = value & SLEEP_TYPE_BITS == SLEEP_TYPE_OFF << 2;
                (value & SLEEP_ENABLE != 0 && off).then_some(Effect::PowerOff)
            }
            RESET_PORT => (value & RESET_NOW != 0).then_some(Effect::Reset),
            KEYBOARD_PORT => (value == KEYBOARD_RESET).then_some(Effect::Reset),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::guest::{POWER_OFF, RESET};

    #[test]
    fn sleep_type_five_powers_off_and_nothing_else_does() {
        let mut power = Power::default();
        assert_eq!(power.command(SLEEP_CONTROL_PORT, POWER_OFF & !SLEEP_ENABLE), None);
        assert_eq!(power.command(SLEEP_CONTROL_PORT, SLEEP_ENABLE), None);
        assert_eq!(power.command(SLEEP_CONTROL_PORT, POWER_OFF), Some(Effect::PowerOff));
    }

    #[test]
    fn the_reset_register_and_the_keyboard_controller_reset() {
        let mut power = Power::default();
        assert_eq!(power.command(RESET_PORT, 2), None);
        assert_eq!(power.command(RESET_PORT, RESET), Some(Effect::Reset));
        assert_eq!(power.command(KEYBOARD_PORT, 0xd1), None);
        assert_eq!(power.command(KEYBOARD_PORT, 0xfe), Some(Effect::Reset));
    }
}
