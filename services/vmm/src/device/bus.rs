// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device answers at which port and address, and how wide accesses become what a device knows.
//!
//! One table. What nobody answers reads as ones; writes to it vanish; [`Unclaimed`] counts both. Interrupt lines
//! are here too, since the tables that describe the machine to the guest ([`crate::platform::acpi`]) need the same numbers.

use super::ioapic;
use super::power::{KEYBOARD_PORT, SLEEP_STATUS_PORT};
use abi::guest::{RESET_PORT, SERIAL_PORT, SLEEP_CONTROL_PORT};

/// Number of ports of the UART.
pub const SERIAL_PORTS: u16 = 8;
/// Pin of the I/O APIC that the UART drives.
pub const SERIAL_PIN: usize = 4;
/// First of the two ports of the clock.
pub const RTC_PORT: u16 = 0x70;

const SERIAL_LAST: u16 = SERIAL_PORT + SERIAL_PORTS - 1;
const RTC_DATA_PORT: u16 = RTC_PORT + 1;
const PAGE: u64 = 4096;

/// What answers at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A register of the UART.
    Uart(u16),
    /// The clock's index.
    RtcIndex,
    /// The clock's data.
    RtcData,
    /// Power control.
    Power(u16),
}

impl Port {
    /// What answers at a port.
    #[must_use]
    pub fn at(port: u16) -> Option<Self> {
        match port {
            SERIAL_PORT..=SERIAL_LAST => Some(Self::Uart(port - SERIAL_PORT)),
            RTC_PORT => Some(Self::RtcIndex),
            RTC_DATA_PORT => Some(Self::RtcData),
            SLEEP_CONTROL_PORT | SLEEP_STATUS_PORT | RESET_PORT | KEYBOARD_PORT => Some(Self::Power(port)),
            _ => None,
        }
    }
}

/// What answers at a guest-physical address that is not memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The local APIC of the vCPU that asks, at this offset.
    LocalApic(u32),
    /// The I/O APIC, at this offset.
    IoApic(u32),
}

impl Window {
    /// What answers at an address for a vCPU whose local APIC is at `local`.
    #[must_use]
    pub fn at(address: u64, local: Option<u64>) -> Option<Self> {
        let offset = (address % PAGE) as u32;
        let page = address - u64::from(offset);
        if Some(page) == local {
            Some(Self::LocalApic(offset))
        } else if page == ioapic::BASE {
            Some(Self::IoApic(offset))
        } else {
            None
        }
    }
}

/// Accesses that nobody answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Bytes read from ports.
    pub port_reads: u64,
    /// Bytes written to ports.
    pub port_writes: u64,
    /// Reads of memory.
    pub memory_reads: u64,
    /// Writes of memory.
    pub memory_writes: u64,
    /// MSRs refused.
    pub msrs: u64,
}

/// All ones in `bytes` bytes.
#[must_use]
pub fn ones(bytes: u8) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// Ports that an access of `bytes` bytes (1, 2 or 4) touches, with the shift of each one's byte.
pub fn spread(port: u16, bytes: u8) -> impl Iterator<Item = (u16, u32)> {
    (0..u16::from(bytes.min(4))).map(move |index| (port.wrapping_add(index), 8 * u32::from(index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_belong_to_one_device_or_nobody() {
        assert_eq!(Port::at(0x3f8), Some(Port::Uart(0)));
        assert_eq!(Port::at(0x3ff), Some(Port::Uart(7)));
        assert_eq!(Port::at(0x71), Some(Port::RtcData));
        assert_eq!(Port::at(0x604), Some(Port::Power(0x604)));
        for port in [0x20, 0x40, 0x60, 0x80, 0x2f8, 0x3f7, 0x400, 0xcf8, 0xcfc] {
            assert_eq!(Port::at(port), None, "{port:#x}");
        }
    }

    #[test]
    fn the_local_apic_is_where_its_base_says() {
        assert_eq!(Window::at(0xfee0_0020, Some(0xfee0_0000)), Some(Window::LocalApic(0x20)));
        assert_eq!(Window::at(0xfee0_0020, None), None);
        assert_eq!(Window::at(0xfec0_0010, Some(0xfee0_0000)), Some(Window::IoApic(0x10)));
        assert_eq!(Window::at(0xfec0_1000, Some(0xfee0_0000)), None);
    }

    #[test]
    fn a_wide_access_touches_one_port_per_byte() {
        assert_eq!(spread(0xffff, 2).collect::<Vec<_>>(), [(0xffff, 0), (0, 8)]);
        assert_eq!((ones(1), ones(4), ones(8)), (0xff, 0xffff_ffff, u64::MAX));
    }
}
