// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handover window: where the state of a VM lies while it changes from one hypervisor to another.
//!
//! A part of the bridge that root maps, readable and writable, into the VMM of either side at `rt::layout::HANDOVER`. Only one side
//! writes: the one whose VM it is. The words of the ledger say when the other side may read. Little-endian words
//! ([`Header`]), then the typed state (crate `state`), which is checked by whoever reads it. Whoever runs the VM from a state clears the
//! first word of its header: no state is used twice.

/// Bytes of the window of one VM.
pub const WINDOW_BYTES: u64 = 128 << 10;
/// log2 of that.
pub const WINDOW_BITS: u8 = 17;
/// Offset of the typed state.
pub const STATE_AT: u64 = 4096;
/// Most bytes of typed state.
pub const STATE_MAX: u64 = WINDOW_BYTES - STATE_AT;
/// First word of a header.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UShndovr");
/// Most vCPUs.
pub const MAX_VCPUS: usize = 16;

/// What precedes the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of typed state.
    pub bytes: u64,
    /// Host TSC as of which the state holds. Both sides read the same TSC.
    pub tsc: u64,
    /// Host TSC of each vCPU's last exit; of one that was not executing (halted, not started, paused), of its stop.
    pub exits: [u64; MAX_VCPUS],
}

/// Bytes of an encoded header.
pub const HEADER_BYTES: usize = 8 * (3 + MAX_VCPUS);

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let words = [MAGIC, self.bytes, self.tsc].into_iter().chain(self.exits);
        for (target, word) in bytes.chunks_exact_mut(8).zip(words) {
            target.copy_from_slice(&word.to_le_bytes());
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
        let mut header = Self { bytes: words.next()?, tsc: words.next()?, ..Self::default() };
        for (exit, word) in header.exits.iter_mut().zip(words) {
            *exit = word;
        }
        (header.bytes <= STATE_MAX).then_some(header)
    }
}
