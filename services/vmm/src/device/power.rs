// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power: the sleep and reset registers.
//!
//! Owns the two registers of hardware-reduced ACPI, the reset control register, and the one command of a keyboard
//! controller that resets. What follows is a [`Request`]; the monitor decides. Follows ACPI 6.5, 4.8.3.7, and
//! [`abi::guest`] for the numbers.

use abi::guest::{RESET_PORT, SLEEP_CONTROL_PORT};

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

/// What the guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Power off.
    PowerOff,
    /// Reset.
    Reset,
}

/// The registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Sleep type last written, in its position.
    pub sleep_control: u8,
}

impl Power {
    /// The guest reads a port; `None` if nobody answers.
    #[must_use]
    pub fn read(&self, port: u16) -> Option<u8> {
        match port {
            SLEEP_CONTROL_PORT => Some(self.sleep_control),
            SLEEP_STATUS_PORT => Some(0),
            // Drivers read before they write; what they wrote before, nobody asks.
            RESET_PORT => Some(0),
            _ => None,
        }
    }

    /// The guest writes a port.
    pub fn write(&mut self, port: u16, value: u8) -> Option<Request> {
        match port {
            SLEEP_CONTROL_PORT => {
                self.sleep_control = value & SLEEP_TYPE_BITS;
                let off = value & SLEEP_TYPE_BITS == SLEEP_TYPE_OFF << 2;
                (value & SLEEP_ENABLE != 0 && off).then_some(Request::PowerOff)
            }
            RESET_PORT => (value & RESET_NOW != 0).then_some(Request::Reset),
            KEYBOARD_PORT => (value == KEYBOARD_RESET).then_some(Request::Reset),
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
        assert_eq!(power.write(SLEEP_CONTROL_PORT, POWER_OFF & !SLEEP_ENABLE), None);
        assert_eq!(power.write(SLEEP_CONTROL_PORT, SLEEP_ENABLE), None);
        assert_eq!(power.write(SLEEP_CONTROL_PORT, POWER_OFF), Some(Request::PowerOff));
    }

    #[test]
    fn the_reset_register_and_the_keyboard_controller_reset() {
        let mut power = Power::default();
        assert_eq!(power.write(RESET_PORT, 2), None);
        assert_eq!(power.read(RESET_PORT), Some(0));
        assert_eq!(power.write(RESET_PORT, RESET), Some(Request::Reset));
        assert_eq!(power.write(KEYBOARD_PORT, 0xd1), None);
        assert_eq!(power.write(KEYBOARD_PORT, 0xfe), Some(Request::Reset));
        assert_eq!(power.read(KEYBOARD_PORT), None, "there is no controller");
    }
}
