// SPDX-License-Identifier: MIT OR Apache-2.0
//! Object types and their sizes.
//!
//! Every object owns whole, naturally aligned pages of a power-of-two size (ADR 0002), so that
//! memory is accounted for, taken back and handed over page by page.

/// What a capability refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectType {
    /// An empty slot.
    Null = 0,
    /// Memory that is not yet anything.
    Untyped = 1,
    /// Slots for capabilities.
    CNode = 2,
    /// A user thread, bound to one CPU.
    Thread = 3,
    /// A meeting point for call and receive.
    Endpoint = 4,
    /// The right to answer one caller.
    Reply = 5,
    /// A word of flags.
    Notification = 6,
    /// Memory that can be mapped.
    Frame = 7,
    /// A user page table.
    HostSpace = 8,
    /// The nested page table of a VM.
    GuestSpace = 9,
    /// One virtual CPU.
    Vcpu = 10,
    /// One interrupt line.
    Interrupt = 11,
    /// A range of I/O ports.
    PortRange = 12,
    /// The right to a physical CPU.
    Cpu = 13,
    /// The right to bring resources of the machine into being.
    Machine = 14,
}

impl ObjectType {
    /// All types, in the order of their numbers.
    pub const ALL: [ObjectType; 15] = [
        ObjectType::Null,
        ObjectType::Untyped,
        ObjectType::CNode,
        ObjectType::Thread,
        ObjectType::Endpoint,
        ObjectType::Reply,
        ObjectType::Notification,
        ObjectType::Frame,
        ObjectType::HostSpace,
        ObjectType::GuestSpace,
        ObjectType::Vcpu,
        ObjectType::Interrupt,
        ObjectType::PortRange,
        ObjectType::Cpu,
        ObjectType::Machine,
    ];

    /// The type with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        if number < Self::ALL.len() as u64 { Some(Self::ALL[number as usize]) } else { None }
    }

    /// The sizes (as log2 of bytes, both ends included) in which it can be made out of untyped
    /// memory; `None` for what is not made of memory.
    #[must_use]
    pub const fn size_bits(self) -> Option<(u8, u8)> {
        match self {
            ObjectType::Untyped => Some((12, 47)),
            ObjectType::CNode => Some((12, 24)),
            ObjectType::Thread | ObjectType::Endpoint | ObjectType::Reply | ObjectType::Notification => {
                Some((12, 12))
            }
            ObjectType::Frame => Some((12, 30)),
            ObjectType::HostSpace | ObjectType::GuestSpace => Some((14, 26)),
            ObjectType::Vcpu => Some((14, 14)),
            ObjectType::Null
            | ObjectType::Interrupt
            | ObjectType::PortRange
            | ObjectType::Cpu
            | ObjectType::Machine => None,
        }
    }
}

/// log2 of the bytes that one slot takes: a CNode of `size_bits` has `1 << (size_bits - 6)` slots.
pub const SLOT_BITS: u8 = 6;

const _: () = {
    let mut i = 0;
    while i < ObjectType::ALL.len() {
        assert!(ObjectType::ALL[i] as usize == i);
        i += 1;
    }
};
