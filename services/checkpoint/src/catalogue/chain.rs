// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chains: bytes in slots of the store, one slot after the other.
//!
//! Each slot has the number of the next one (0 in the last), and how many bytes are in it and in
//! those that follow (32 bits each), then bytes.

use alloc::vec::Vec;

use super::Flaw;
use crate::outside::{Outside, PAGE, Page};
use crate::store::FIRST;

/// Bytes of a record in one slot.
pub(super) const PAYLOAD: usize = PAGE - HEAD;
const HEAD: usize = 8;

/// A slot's page; `left` are the bytes from here on, of which the first are in `bytes`.
pub(super) fn page(next: u32, left: u32, bytes: &[u8]) -> Page {
    let mut page = [0; PAGE];
    let mut rest = page.as_mut_slice();
    for part in [next.to_le_bytes().as_slice(), &left.to_le_bytes(), bytes] {
        let Some((here, after)) = rest.split_at_mut_checked(part.len()) else { break };
        here.copy_from_slice(part);
        rest = after;
    }
    page
}

/// The bytes of a chain, at most `most`, and its slots: all of them can be given out, and
/// `may_read` has said yes to each.
pub(super) fn read<O: Outside>(
    outside: &O,
    (first, slots): (u32, u32),
    most: usize,
    mut may_read: impl FnMut(u32) -> bool,
) -> Result<(Vec<u8>, Vec<u32>), Flaw> {
    let (mut bytes, mut chain) = (Vec::new(), Vec::new());
    let mut expected = None;
    let mut slot = first;
    loop {
        if !(FIRST..slots).contains(&slot) || !may_read(slot) {
            return Err(Flaw::Chain);
        }
        let (head, payload) = outside.get(slot).split_at_checked(HEAD).ok_or(Flaw::Chain)?;
        let [[a, b, c, d, e, f, g, h]] = head.as_chunks::<HEAD>().0 else { return Err(Flaw::Chain) };
        let (next, left) = (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]));
        let left = left as usize;
        if left == 0 || left > most || expected.is_some_and(|expected| expected != left) {
            return Err(Flaw::Chain);
        }
        bytes.extend_from_slice(payload.get(..left.min(PAYLOAD)).ok_or(Flaw::Chain)?);
        chain.push(slot);
        match left.checked_sub(PAYLOAD) {
            Some(rest) if rest > 0 => (expected, slot) = (Some(rest), next),
            _ if next == 0 => return Ok((bytes, chain)),
            _ => return Err(Flaw::Chain),
        }
    }
}
