// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device is: the contract between each device and the board.
//!
//! Owns the trait [`Device`], the [`Access`] that carries a guest's access to a device and brings
//! back what follows, and the effects that only the monitor can carry out. Routing belongs to
//! [`super::board`], the list of devices to [`super::table`]. How to add a device is told in
//! `docs/vmm.md`.

use super::message::{Message, Pins};
use super::time::Clock;
use alloc::vec::Vec;

/// What a machine is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of vCPUs, 1 to [`super::board::MAX_PROCESSORS`]; the APIC id of each is its index.
    pub processors: u32,
    /// Ticks of the guest's TSC per millisecond.
    pub tsc_khz: u64,
    /// Nanoseconds since 1970 when the guest's TSC was 0.
    pub wall_base: u64,
    /// Bytes of guest memory, from address 0.
    pub memory: u64,
}

/// A range of ports, byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first port.
    pub first: u16,
    /// How many there are.
    pub count: u16,
}

impl Ports {
    /// Checks whether a port is in the range.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        port.wrapping_sub(self.first) < self.count
    }
}

/// Bytes to be written to guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Guest-physical address; the whole range is in the guest's memory.
    pub address: u64,
    /// What to write.
    pub bytes: Vec<u8>,
}

/// What the monitor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Stop the machine for good.
    PowerOff,
    /// Start the machine again.
    Reset,
    /// Inject a non-maskable interrupt.
    Nmi(usize),
    /// Put a vCPU into its reset state, waiting for start-up.
    Init(usize),
    /// Let a vCPU that waits for it start in real mode at `page` << 12.
    Startup(usize, u8),
    /// Write guest memory.
    Write(Write),
}

/// What a local APIC asks of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Deliver this message; this local APIC is its sender.
    Send(Message),
    /// A level-triggered interrupt with this vector has ended: tell the I/O APIC.
    End(u8),
}

/// One access of a guest, and what a device asks for in answer to it.
#[derive(Debug)]
pub struct Access<'a> {
    /// The vCPU that accesses; 0 for a port, whose devices cannot tell.
    pub cpu: usize,
    /// The guest's TSC.
    pub now: u64,
    /// Bytes of the whole access. A device sees each byte of a port access by itself.
    pub width: u8,
    /// The machine's clock.
    pub clock: &'a Clock,
    /// What the monitor has to do.
    pub effects: &'a mut Vec<Effect>,
    /// Pins of the I/O APIC whose message is due.
    pub due: Pins,
    /// What a local APIC asks of the others.
    pub action: Option<Action>,
}

/// A device of a virtual machine.
///
/// A guest chooses every access and a checkpoint every saved field: no method panics, whatever it
/// is given, and none lets the device grow without bound. A device that has no ports, no window or
/// no timer keeps the default methods.
pub trait Device: Sized {
    /// Ports that the device answers at. No two devices share one.
    const PORTS: &'static [Ports] = &[];
    /// Pin of the I/O APIC that the device drives. No two devices share one.
    const PIN: Option<usize> = None;

    /// Makes the device as after power-on.
    fn new(settings: &Settings) -> Self;

    /// Reads a byte at one of [`Device::PORTS`]; `None` reads as ones.
    fn read_port(&mut self, _port: u16, _access: &mut Access) -> Option<u8> {
        None
    }

    /// Writes a byte at one of [`Device::PORTS`]; returns false if nothing answers there.
    fn write_port(&mut self, _port: u16, _value: u8, _access: &mut Access) -> bool {
        false
    }

    /// Guest-physical address of the page of registers that a vCPU sees.
    fn window(&self, _cpu: usize) -> Option<u64> {
        None
    }

    /// Reads the 32 bits at `offset`, a multiple of 4, of the page.
    fn read(&mut self, _offset: u32, _access: &mut Access) -> Option<u32> {
        None
    }

    /// Writes 32 bits at `offset` of the page; returns false if nothing answers there.
    fn write(&mut self, _offset: u32, _value: u32, _access: &mut Access) -> bool {
        false
    }

    /// Returns the level of the line at [`Device::PIN`].
    fn interrupt(&self) -> bool {
        false
    }

    /// Returns the guest's TSC at which [`Device::advance`] has something to do.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Does what is due by now.
    fn advance(&mut self, _now: u64) {}

    /// Puts the device into the record of its machine, as of guest TSC `now`. Room in the record is
    /// used again.
    ///
    /// An implementation takes itself apart field by field and names every field of the saved form,
    /// so that neither can gain a field without an error of the compiler here.
    fn save(&self, machine: &mut state::Machine, now: u64, clock: &Clock);

    /// Sets the device to what a record says. The record has been checked; a value that this device
    /// cannot hold is cut to one that it can. The clock is loaded already.
    fn load(&mut self, machine: &state::Machine, clock: &Clock);

    /// Describes the device to the operating system, as terms of the ACPI machine language
    /// ([`crate::aml`]).
    fn describe() -> Vec<Vec<u8>> {
        Vec::new()
    }
}
