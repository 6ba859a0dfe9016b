// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's parts: Interrupt, PortRange, Cpu, Machine.

use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;

use crate::cap::{CNode, Cap, Cpu, Frame, Interrupt, Machine, Notification, PortRange};
use crate::ipc;

impl Cap<Interrupt> {
    /// Binds the line to a notification.
    ///
    /// # Errors
    /// See [`Invocation::InterruptBind`].
    pub fn bind(self, notification: Cap<Notification>) -> Result<(), Error> {
        self.invoke(Invocation::InterruptBind, [notification.cptr(), 0, 0, 0]).map(|_| ())
    }

    /// Says that the line may raise again.
    ///
    /// # Errors
    /// See [`Invocation::InterruptAck`].
    pub fn ack(self) -> Result<(), Error> {
        self.invoke(Invocation::InterruptAck, [0; 4]).map(|_| ())
    }
}

impl Cap<PortRange> {
    /// Reads a port of `size` bytes (1, 2 or 4).
    ///
    /// # Errors
    /// See [`Invocation::PortIn`].
    pub fn read(self, port: u16, size: u8) -> Result<u32, Error> {
        let words = self.invoke(Invocation::PortIn, [u64::from(port), u64::from(size), 0, 0])?;
        Ok(words[0] as u32)
    }

    /// Writes a port of `size` bytes (1, 2 or 4).
    ///
    /// # Errors
    /// See [`Invocation::PortOut`].
    pub fn write(self, port: u16, size: u8, value: u32) -> Result<(), Error> {
        let words = [u64::from(port), u64::from(size), u64::from(value), 0];
        self.invoke(Invocation::PortOut, words).map(|_| ())
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn in8(self, port: u16) -> Result<u8, Error> {
        self.read(port, 1).map(|value| value as u8)
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn in16(self, port: u16) -> Result<u16, Error> {
        self.read(port, 2).map(|value| value as u16)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn in32(self, port: u16) -> Result<u32, Error> {
        self.read(port, 4)
    }

    /// Writes a byte.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn out8(self, port: u16, value: u8) -> Result<(), Error> {
        self.write(port, 1, u32::from(value))
    }

    /// Writes two bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn out16(self, port: u16, value: u16) -> Result<(), Error> {
        self.write(port, 2, u32::from(value))
    }

    /// Writes four bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn out32(self, port: u16, value: u32) -> Result<(), Error> {
        self.write(port, 4, value)
    }

    /// Writes up to 24 bytes to one port, in one system call.
    ///
    /// # Errors
    /// See [`Invocation::PortOutBytes`].
    pub fn out_bytes(self, port: u16, bytes: &[u8]) -> Result<(), Error> {
        let mut block = [0; 24];
        block.get_mut(..bytes.len()).ok_or(Error::InvalidArgument)?.copy_from_slice(bytes);
        let mut words = [u64::from(port) | (bytes.len() as u64) << 16, 0, 0, 0];
        for (word, part) in words.iter_mut().skip(1).zip(block.chunks_exact(8)) {
            *word = u64::from_le_bytes(part.try_into().unwrap_or_default());
        }
        self.invoke(Invocation::PortOutBytes, words).map(|_| ())
    }

    /// Derives a capability to the ports from `first` to `last` into slot `index` of `node`.
    ///
    /// # Errors
    /// See [`Invocation::PortNarrow`].
    pub fn narrow(self, first: u16, last: u16, node: Cap<CNode>, index: u64) -> Result<(), Error> {
        let words = [u64::from(first), u64::from(last), node.cptr(), index];
        self.invoke(Invocation::PortNarrow, words).map(|_| ())
    }
}

/// Where a CPU that is left goes on: physical addresses; zeros for a CPU that stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Entry.
    pub entry: u64,
    /// Multiboot2 information.
    pub information: u64,
}

/// What a CPU writes as the last thing it does.
#[derive(Clone, Copy, Debug)]
pub struct LastWord {
    /// A frame.
    pub frame: Cap<Frame>,
    /// Offset in its first page.
    pub offset: u64,
    /// What.
    pub value: u64,
}

/// What a CPU says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuState {
    /// Place among the CPUs.
    pub index: u64,
    /// APIC id.
    pub apic_id: u64,
    /// Whether it runs.
    pub online: bool,
    /// TSC ticks spent idle (0 for another CPU than the caller's).
    pub idle_ticks: u64,
}

impl Cap<Cpu> {
    /// Describes it.
    ///
    /// # Errors
    /// See [`Invocation::CpuDescribe`].
    pub fn describe(self) -> Result<CpuState, Error> {
        let [index, apic_id, online, idle_ticks] = self.invoke(Invocation::CpuDescribe, [0; 4])?;
        Ok(CpuState { index, apic_id, online: online != 0, idle_ticks })
    }

    /// Leaves it to another image; `last_word` is where it writes what as the last thing it does.
    /// Of the last CPU this does not return.
    ///
    /// # Errors
    /// See [`Invocation::CpuRelease`].
    pub fn release(self, target: Target, last_word: Option<LastWord>) -> Result<(), Error> {
        let (frame, offset, value) = last_word.map_or((0, 0, 0), |w| (w.frame.cptr(), w.offset, w.value));
        ipc::write_word(4, value);
        let words = [target.entry, target.information, frame, offset];
        self.invoke_words(Invocation::CpuRelease, 5, words).map(|_| ())
    }
}

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Edge-triggered, active high: an ISA line.
    Edge,
    /// Level-triggered, active low: a PCI line.
    LevelLow,
}

impl Cap<Machine> {
    /// Makes the capability to interrupt line `gsi` in slot `index` of `node`.
    ///
    /// # Errors
    /// See [`Invocation::MachineInterrupt`].
    pub fn interrupt(self, gsi: u32, line: Line, node: Cap<CNode>, index: u64) -> Result<(), Error> {
        let flags = match line {
            Line::Edge => 0,
            Line::LevelLow => 3,
        };
        self.invoke(Invocation::MachineInterrupt, [u64::from(gsi), flags, node.cptr(), index]).map(|_| ())
    }

    /// Takes memory in, as a frame or as untyped memory, into slot `index` of `node`.
    ///
    /// # Errors
    /// See [`Invocation::MachineAdopt`].
    pub fn adopt(
        self,
        base: u64,
        (object, bits): (ObjectType, u8),
        node: Cap<CNode>,
        index: u64,
    ) -> Result<(), Error> {
        let words = [base, object as u64 | u64::from(bits) << 8, node.cptr(), index];
        self.invoke(Invocation::MachineAdopt, words).map(|_| ())
    }

    /// Lets memory (untyped, or a frame) leave, unchanged.
    ///
    /// # Errors
    /// See [`Invocation::MachineSurrender`].
    pub fn surrender<T>(self, memory: Cap<T>) -> Result<(), Error> {
        self.invoke(Invocation::MachineSurrender, [memory.cptr(), 0, 0, 0]).map(|_| ())
    }

    /// Starts a CPU that stands still after an INIT; its capability goes into slot `index` of
    /// `node`. Returns its place.
    ///
    /// # Errors
    /// See [`Invocation::MachineAdoptCpu`].
    pub fn adopt_cpu(self, apic_id: u32, node: Cap<CNode>, index: u64) -> Result<u64, Error> {
        let words = [u64::from(apic_id), node.cptr(), index, 0];
        self.invoke(Invocation::MachineAdoptCpu, words).map(|words| words[0])
    }

    /// Rings another instance.
    ///
    /// # Errors
    /// See [`Invocation::MachineRing`].
    pub fn ring(self, apic_id: u32) -> Result<(), Error> {
        self.invoke(Invocation::MachineRing, [u64::from(apic_id), 0, 0, 0]).map(|_| ())
    }

    /// Sends an INIT to a CPU that does not run here.
    ///
    /// # Errors
    /// See [`Invocation::MachineInit`].
    pub fn init(self, apic_id: u32) -> Result<(), Error> {
        self.invoke(Invocation::MachineInit, [u64::from(apic_id), 0, 0, 0]).map(|_| ())
    }

    /// A counter of the core ([`abi::boot::counter`]).
    ///
    /// # Errors
    /// See [`Invocation::MachineCounter`].
    pub fn counter(self, counter: u64) -> Result<u64, Error> {
        self.invoke(Invocation::MachineCounter, [counter, 0, 0, 0]).map(|words| words[0])
    }
}
