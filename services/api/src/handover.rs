// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handover window: where the state of a VM lies while it changes from one hypervisor to
//! another.
//!
//! A part of the bridge that root maps, readable and writable, into the VMM of either side at
//! `rt::layout::HANDOVER`. Only one side writes: the one whose VM it is. The words of the ledger
//! say when the other side may read. Little-endian words ([`Header`]), then the typed state (crate
//! `state`), which is checked by whoever reads it. Whoever runs the VM from a state clears the
//! first word of its header: no state is used twice.
//!
//! So that little is left to do while the VM stands still, its state is written a first time
//! before, while it runs: the *base*, with a header of its own ([`BaseHeader`]). The state proper
//! can then be a change of it.

/// Bytes of the window of one VM.
pub const WINDOW_BYTES: u64 = 128 << 10;
/// log2 of that.
pub const WINDOW_BITS: u8 = 17;
/// Offset of the base's header.
pub const BASE_HEADER_AT: u64 = 2048;
/// Offset of the base.
pub const BASE_AT: u64 = 4096;
/// Most bytes of a base.
pub const BASE_MAX: u64 = STATE_AT - BASE_AT;
/// Offset of the typed state.
pub const STATE_AT: u64 = WINDOW_BYTES / 2;
/// Most bytes of typed state.
pub const STATE_MAX: u64 = WINDOW_BYTES - STATE_AT;
/// First word of a header.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UShndovr");
/// First word of a base's header.
pub const BASE_MAGIC: u64 = u64::from_le_bytes(*b"UShobase");
/// Most vCPUs.
pub const MAX_VCPUS: usize = 16;

/// What precedes the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of typed state.
    pub bytes: u64,
    /// Host TSC as of which the state holds. Both sides read the same TSC.
    pub tsc: u64,
    /// Where the state is a change: [`BaseHeader::tsc`] of its base. Else 0.
    pub base: u64,
    /// Host TSC of each vCPU's last exit; of one that was not executing (halted, not started,
    /// paused), of its stop.
    pub exits: [u64; MAX_VCPUS],
}

/// Bytes of an encoded header.
pub const HEADER_BYTES: usize = 8 * (4 + MAX_VCPUS);

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (words, _) = bytes.as_chunks_mut::<8>();
        if let Some((first, exits)) = words.split_first_chunk_mut::<4>() {
            *first = [MAGIC, self.bytes, self.tsc, self.base].map(u64::to_le_bytes);
            exits.copy_from_slice(&self.exits.map(u64::to_le_bytes));
        }
        bytes
    }

    /// Reads a header; `None` where there is none, or its state does not fit.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        if words.next()? != MAGIC {
            return None;
        }
        let (bytes, tsc, base) = (words.next()?, words.next()?, words.next()?);
        let mut header = Self { bytes, tsc, base, ..Self::default() };
        for (exit, word) in header.exits.iter_mut().zip(words) {
            *exit = word;
        }
        (header.bytes <= STATE_MAX).then_some(header)
    }
}

/// What precedes the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseHeader {
    /// Bytes of typed state.
    pub bytes: u64,
    /// Host TSC as of which it holds: not 0, and another one for each base.
    pub tsc: u64,
}

/// Bytes of an encoded header of a base.
pub const BASE_HEADER_BYTES: usize = 24;

impl BaseHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BASE_HEADER_BYTES] {
        let mut bytes = [0; BASE_HEADER_BYTES];
        let words = [BASE_MAGIC, self.bytes, self.tsc];
        for (target, word) in bytes.chunks_exact_mut(8).zip(words) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a header; `None` where there is none, or its base does not fit.
    #[must_use]
    pub fn decode(bytes: &[u8; BASE_HEADER_BYTES]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        if words.next()? != BASE_MAGIC {
            return None;
        }
        let header = Self { bytes: words.next()?, tsc: words.next()? };
        (header.bytes <= BASE_MAX && header.tsc != 0).then_some(header)
    }
}
