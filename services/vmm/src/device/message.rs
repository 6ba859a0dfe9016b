// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interrupt messages, and whom they are for.
//!
//! Owns the form in which I/O APIC and local APICs talk to local APICs. Delivery itself belongs to
//! [`super::board`].

/// A set of pins of the I/O APIC, bit n for pin n.
pub type Pins = u32;

/// What a message does at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Raises the vector.
    Fixed,
    /// Raises the vector at one of the destinations.
    Lowest,
    /// System management interrupt: ignored.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up; the vector is a page number.
    Startup,
    /// From a PIC, which this machine does not have.
    External,
}

impl Delivery {
    /// The mode in bits 8 to 10 of an entry or command; the reserved one reads as SMI.
    #[must_use]
    pub fn from_bits(entry: u32) -> Self {
        match entry >> 8 & 7 {
            0 => Self::Fixed,
            1 => Self::Lowest,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::Startup,
            7 => Self::External,
            _ => Self::Smi,
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The local APIC with this id, or all for the broadcast id.
    Physical(u32),
    /// Those whose logical id has a bit of this one.
    Logical(u32),
    /// The sender.
    Itself,
    /// All.
    All,
    /// All but the sender.
    Others,
}

/// An interrupt message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whom it is for.
    pub destination: Destination,
    /// Whether the sender had only eight bits for the destination (I/O APIC, xAPIC): broadcast is
    /// 0xff then.
    pub narrow: bool,
    /// What it does.
    pub delivery: Delivery,
    /// Vector.
    pub vector: u8,
    /// Whether it is level-triggered, so that its end is told to the I/O APIC.
    pub level: bool,
}

impl Message {
    /// The message of a command (the low and the high half of the ICR); `None` where it says
    /// nothing to anybody.
    #[must_use]
    pub fn from_command(low: u32, destination: u32, narrow: bool) -> Option<Self> {
        let delivery = Delivery::from_bits(low);
        let level = low & 1 << 15 != 0;
        let asserted = low & 1 << 14 != 0;
        // INIT level de-assert only synchronises arbitration, on processors long gone.
        if delivery == Delivery::Init && level && !asserted {
            return None;
        }
        let destination = match low >> 18 & 3 {
            0 if low & 1 << 11 != 0 => Destination::Logical(destination),
            0 => Destination::Physical(destination),
            1 => Destination::Itself,
            2 => Destination::All,
            _ => Destination::Others,
        };
        // Interprocessor interrupts are edge-triggered whatever the command says (SDM vol. 3A,
        // 12.6.1).
        Some(Self { destination, narrow, delivery, vector: low as u8, level: false })
    }
}

/// What a local APIC answers to, as far as destinations are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// APIC id.
    pub id: u32,
    /// Logical destination register.
    pub logical: u32,
    /// Whether the logical destinations of an xAPIC are clusters (DFR = 0) rather than one flat
    /// set.
    pub clusters: bool,
    /// Whether it is in x2APIC mode.
    pub x2apic: bool,
}

impl Address {
    /// Whether a message with this destination is for this local APIC; `own` says whether it is the
    /// sender's.
    #[must_use]
    pub fn matches(&self, message: &Message, own: bool) -> bool {
        match message.destination {
            Destination::Itself => own,
            Destination::All => true,
            Destination::Others => !own,
            Destination::Physical(id) => id == self.id || id == broadcast(message.narrow),
            Destination::Logical(set) => self.matches_logical(set, message.narrow),
        }
    }

    fn matches_logical(&self, set: u32, narrow: bool) -> bool {
        if set == broadcast(narrow) {
            return true;
        }
        if self.x2apic {
            return set >> 16 == self.logical >> 16 && set & self.logical & 0xffff != 0;
        }
        let own = self.logical >> 24;
        if self.clusters {
            return set >> 4 & 0xf == own >> 4 && set & own & 0xf != 0;
        }
        set & own & 0xff != 0
    }
}

fn broadcast(narrow: bool) -> u32 {
    if narrow { 0xff } else { u32::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(destination: Destination, narrow: bool) -> Message {
        Message { destination, narrow, delivery: Delivery::Fixed, vector: 0x40, level: false }
    }

    #[test]
    fn physical_destinations_are_one_id_or_all() {
        let address = Address { id: 2, logical: 0, clusters: false, x2apic: false };
        assert!(address.matches(&to(Destination::Physical(2), true), false));
        assert!(!address.matches(&to(Destination::Physical(1), true), false));
        assert!(address.matches(&to(Destination::Physical(0xff), true), false));
        assert!(!address.matches(&to(Destination::Physical(0xff), false), false));
        assert!(address.matches(&to(Destination::Physical(u32::MAX), false), false));
    }

    #[test]
    fn logical_destinations_are_sets_flat_or_in_clusters() {
        let flat = Address { id: 2, logical: 0x0400_0000, clusters: false, x2apic: false };
        assert!(flat.matches(&to(Destination::Logical(0x06), true), false));
        assert!(!flat.matches(&to(Destination::Logical(0x03), true), false));
        let clustered = Address { id: 2, logical: 0x1400_0000, clusters: true, x2apic: false };
        assert!(clustered.matches(&to(Destination::Logical(0x1c), true), false));
        assert!(!clustered.matches(&to(Destination::Logical(0x24), true), false));
        let wide = Address { id: 17, logical: 1 << 16 | 2, clusters: false, x2apic: true };
        assert!(wide.matches(&to(Destination::Logical(1 << 16 | 6), false), false));
        assert!(!wide.matches(&to(Destination::Logical(2), false), false));
    }

    #[test]
    fn shorthands_depend_on_the_sender_only() {
        let address = Address { id: 0, logical: 0, clusters: false, x2apic: true };
        assert!(address.matches(&to(Destination::Itself, false), true));
        assert!(!address.matches(&to(Destination::Others, false), true));
        assert!(address.matches(&to(Destination::Others, false), false));
        assert!(address.matches(&to(Destination::All, false), true));
    }

    #[test]
    fn the_commands_that_start_a_processor_are_understood() {
        let init = Message::from_command(0x0000_c500, 1, false).unwrap();
        assert_eq!((init.delivery, init.destination), (Delivery::Init, Destination::Physical(1)));
        assert_eq!(Message::from_command(0x0000_8500, 1, false), None, "de-assert");
        let startup = Message::from_command(0x0000_0609, 1, false).unwrap();
        assert_eq!((startup.delivery, startup.vector), (Delivery::Startup, 9));
    }
}
