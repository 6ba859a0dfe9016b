// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole machine, and the bytes that it is saved to.

use alloc::string::String;
use alloc::vec::Vec;

use crate::apic::LocalApic;
use crate::check::{Check, Violation, ensure};
use crate::clock::{PvClock, Rtc};
use crate::ioapic::IoApic;
use crate::power::PowerControl;
use crate::record::{Bytes, DecodeError, Value, record};
use crate::serial::Uart16550;
use crate::vcpu::Vcpu;

/// First bytes of a saved machine.
pub const MAGIC: [u8; 8] = *b"USTATE\r\n";
/// First bytes of a change.
pub const CHANGE_MAGIC: [u8; 8] = *b"UCHANGE\n";
/// Version of the format; a later one that can be read by this version keeps it.
pub const FORMAT: u8 = 1;
/// More than a machine takes besides its vCPUs.
const BASE_BYTES: usize = 2048;
/// More than a vCPU takes, with its local APIC.
const VCPU_BYTES: usize = 4096;

record! {
    /// What a program in the guest needs to ask for checkpoints.
    pub struct Token {
        /// The secret, 16 bytes.
        1 secret: Bytes,
        /// How many checkpoints it is good for.
        2 quota: u32,
        /// How many it has created. Restoring never lowers it.
        3 used: u32,
    }
}

record! {
    /// A virtual machine, without its memory.
    pub struct Machine {
        /// Name.
        1 name: String,
        /// Bytes of guest memory, from guest-physical 0 on.
        2 memory_bytes: u64,
        /// Ticks of the guest's TSC per millisecond.
        3 tsc_khz: u64,
        /// Whether an operator has stopped it.
        4 paused: bool,
        /// Virtual CPUs.
        5 vcpus: Vec<Vcpu>,
        /// Local APICs, one per vCPU.
        6 apics: Vec<LocalApic>,
        /// I/O APICs.
        7 ioapics: Vec<IoApic>,
        /// Serial ports.
        8 uarts: Vec<Uart16550>,
        /// CMOS clock.
        9 rtc: Rtc,
        /// Paravirtual clock.
        10 clock: PvClock,
        /// Power control.
        11 power: PowerControl,
        /// Token for checkpoints.
        12 token: Token,
        /// Whether it has ended: 0 no, 1 stopped, 2 failed. One that has ended has no vCPUs here.
        13 ended: u8,
        /// Why it failed.
        14 reason: String,
        /// Bytes that the guest has written to its console.
        15 console_bytes: u64,
        /// What it has written of a line that it has not ended.
        16 console_line: String,
        /// Milliseconds since it was started.
        17 uptime_ms: u64,
    }
}

/// How a machine has ended, in [`Machine::ended`].
pub struct Ended;

impl Ended {
    /// It has not.
    pub const NO: u8 = 0;
    /// By itself, or because it was told to; or it has not begun.
    pub const STOPPED: u8 = 1;
    /// It cannot go on.
    pub const FAILED: u8 = 2;
}

/// Why bytes are no saved machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// They do not begin like one.
    NotAMachine,
    /// They are of a later format.
    UnknownFormat(u8),
    /// They end too early, or contradict themselves.
    Damaged(DecodeError),
    /// The state is one that no machine can have.
    Invalid(Violation),
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LoadError::NotAMachine => f.write_str("not the state of a machine"),
            LoadError::UnknownFormat(format) => write!(f, "format {format} is not known here"),
            LoadError::Damaged(error) => write!(f, "damaged: {error}"),
            LoadError::Invalid(violation) => write!(f, "invalid: {violation}"),
        }
    }
}

impl Machine {
    /// The machine as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::room(self.vcpus.len()));
        self.save_into(&mut bytes);
        bytes
    }

    /// The machine as bytes, in place of what is in `bytes`.
    pub fn save_into(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(&MAGIC);
        bytes.push(FORMAT);
        self.encode(bytes);
    }

    /// What differs from `base`, in place of what is in `bytes`.
    pub fn save_change_into(&self, base: &Self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(&CHANGE_MAGIC);
        bytes.push(FORMAT);
        self.encode_change(base, bytes);
    }

    /// From the base of a change to the machine that was saved, checked.
    ///
    /// # Errors
    /// As [`LoadError`] says; this is then neither of the two.
    pub fn apply_change(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.apply(body(bytes, CHANGE_MAGIC)?).map_err(LoadError::Damaged)?;
        self.check().map_err(LoadError::Invalid)
    }

    /// Bytes that hold a machine of so many vCPUs, as a rule.
    #[must_use]
    pub const fn room(vcpus: usize) -> usize {
        BASE_BYTES + vcpus.saturating_mul(VCPU_BYTES)
    }

    /// The machine that was saved, checked.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let machine = Self::load_unchecked(bytes)?;
        machine.check().map_err(LoadError::Invalid)?;
        Ok(machine)
    }

    /// The same without the rules: for tools that show, or repair, an invalid state.
    ///
    /// # Errors
    /// As [`LoadError`] says, except [`LoadError::Invalid`].
    pub fn load_unchecked(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::decode(body(bytes, MAGIC)?).map_err(LoadError::Damaged)
    }
}

/// The fields after the first bytes and the format.
fn body(bytes: &[u8], magic: [u8; 8]) -> Result<&[u8], LoadError> {
    let body = bytes.strip_prefix(&magic).ok_or(LoadError::NotAMachine)?;
    match body.split_first() {
        Some((&FORMAT, fields)) => Ok(fields),
        Some((&format, _)) => Err(LoadError::UnknownFormat(format)),
        None => Err(LoadError::NotAMachine),
    }
}

impl Check for Token {
    fn check(&self) -> Result<(), Violation> {
        ensure("secret", matches!(self.secret.0.len(), 0 | 16), "is not 16 bytes")?;
        ensure("used", self.used <= self.quota, "is more than the quota")
    }
}

impl Check for Machine {
    fn check(&self) -> Result<(), Violation> {
        ensure("memory_bytes", self.memory_bytes.is_multiple_of(4096), "is not a number of pages")?;
        ensure("memory_bytes", self.memory_bytes < 1 << 48, "is more than can be mapped")?;
        ensure("apics", self.apics.len() == self.vcpus.len(), "is not one per vCPU")?;
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            if vcpu.index as usize != index {
                return Err(Violation::item("vcpus", index, "has another index than its place"));
            }
        }
        ensure("ended", self.ended <= Ended::FAILED, "is not known")?;
        ensure("vcpus", self.ended == Ended::NO || self.vcpus.is_empty(), "are there though it has ended")?;
        ensure(
            "reason",
            self.ended == Ended::FAILED || self.reason.is_empty(),
            "is there without a failure",
        )?;
        each("vcpus", &self.vcpus)?;
        each("apics", &self.apics)?;
        each("ioapics", &self.ioapics)?;
        each("uarts", &self.uarts)?;
        self.rtc.check().map_err(|violation| violation.within("rtc"))?;
        self.clock.check().map_err(|violation| violation.within("clock"))?;
        self.power.check().map_err(|violation| violation.within("power"))?;
        self.token.check().map_err(|violation| violation.within("token"))
    }
}

fn each<T: Check>(list: &str, items: &[T]) -> Result<(), Violation> {
    for (index, item) in items.iter().enumerate() {
        item.check().map_err(|violation| violation.within(&alloc::format!("{list}.{index}")))?;
    }
    Ok(())
}
