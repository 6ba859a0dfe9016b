// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of a virtual machine, one line each.
//!
//! Owns the list and what is done for each device of it in turn. The order of the lines is that of
//! saving, loading and of the ACPI tables. Wires between devices belong to [`super::board`].

use super::contract::{Access, Device, Settings};
use super::ioapic::IoApic;
use super::lapic::LocalApic;
use super::message::Pins;
use super::power::Power;
use super::pvclock::PvClock;
use super::rtc::Rtc;
use super::time::Clock;
use super::uart::Uart;
use alloc::vec::Vec;

macro_rules! devices {
    ($($(#[$description:meta])* $name:ident: $device:ty;)*) => {
        /// All devices of a virtual machine.
        #[derive(Clone, Debug)]
        pub struct Devices {
            $($(#[$description])* pub $name: $device,)*
        }

        impl Devices {
            /// Pins of the I/O APIC that the devices drive, in their order.
            pub const PINS: &'static [Option<usize>] = &[$(<$device as Device>::PIN,)*];

            /// Makes all devices as after power-on.
            #[must_use]
            pub fn new(settings: &Settings) -> Self {
                Self { $($name: <$device as Device>::new(settings),)* }
            }

            /// Reads a byte at a port; `None` if no device answers.
            pub fn read_port(&mut self, port: u16, access: &mut Access) -> Option<u8> {
                $(if <$device as Device>::PORTS.iter().any(|ports| ports.contains(port)) {
                    return <$device as Device>::read_port(&mut self.$name, port, access);
                })*
                None
            }

            /// Writes a byte at a port; returns false if no device answers.
            pub fn write_port(&mut self, port: u16, value: u8, access: &mut Access) -> bool {
                $(if <$device as Device>::PORTS.iter().any(|ports| ports.contains(port)) {
                    return <$device as Device>::write_port(&mut self.$name, port, value, access);
                })*
                false
            }

            /// Reads a register at a page and an offset; `None` if no device answers.
            pub fn read(&mut self, page: u64, offset: u32, access: &mut Access) -> Option<u32> {
                $(if <$device as Device>::window(&self.$name, access.cpu) == Some(page) {
                    return <$device as Device>::read(&mut self.$name, offset, access);
                })*
                None
            }

            /// Writes a register at a page and an offset; returns false if no device answers.
            pub fn write(&mut self, page: u64, offset: u32, value: u32, access: &mut Access) -> bool {
                $(if <$device as Device>::window(&self.$name, access.cpu) == Some(page) {
                    return <$device as Device>::write(&mut self.$name, offset, value, access);
                })*
                false
            }

            /// Lets the I/O APIC see the devices' lines; returns the pins whose message is due.
            pub fn update_lines(&mut self) -> Pins {
                let mut due = 0;
                $(if let Some(pin) = <$device as Device>::PIN {
                    due |= self.ioapic.set_line(pin, <$device as Device>::interrupt(&self.$name));
                })*
                due
            }

            /// Returns the guest's TSC at which a device has something to do.
            #[must_use]
            pub fn deadline(&self) -> Option<u64> {
                [$(<$device as Device>::deadline(&self.$name),)*].into_iter().flatten().min()
            }

            /// Has every device do what is due by now.
            pub fn advance(&mut self, now: u64) {
                $(<$device as Device>::advance(&mut self.$name, now);)*
            }

            /// Puts all devices into a machine's record, as of guest TSC `now`.
            pub fn save(&self, machine: &mut state::Machine, now: u64, clock: &Clock) {
                $(<$device as Device>::save(&self.$name, machine, now, clock);)*
            }

            /// Sets all devices to what a machine's record says.
            pub fn load(&mut self, machine: &state::Machine, clock: &Clock) {
                $(<$device as Device>::load(&mut self.$name, machine, clock);)*
            }

            /// Describes all devices to the operating system.
            #[must_use]
            pub fn describe() -> Vec<Vec<u8>> {
                [$(<$device as Device>::describe(),)*].concat()
            }
        }

        /// Name, ports and pin of every device, to be held against each other.
        #[cfg(test)]
        pub(super) fn claims() -> Vec<(&'static str, &'static [super::contract::Ports], Option<usize>)> {
            Vec::from([$((stringify!($name), <$device as Device>::PORTS, <$device as Device>::PIN),)*])
        }
    };
}

devices! {
    /// Serial port.
    uart: Uart;
    /// Time of day.
    rtc: Rtc;
    /// Sleep and reset registers.
    power: Power;
    /// Paravirtual clock.
    pvclock: PvClock;
    /// I/O APIC.
    ioapic: IoApic;
    /// Local APICs, by vCPU.
    apics: Vec<LocalApic>;
}
