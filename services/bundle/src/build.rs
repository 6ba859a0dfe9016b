// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making an image, on the developer's machine.

use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::{Signer, SigningKey};

use crate::header::Head;
use crate::table::is_name;
use crate::{HEAD, Header, MAX_ENTRIES, MAX_NAME, PublicKey, ROW, SEAL, signed};

/// The secret half of the key: 32 random bytes.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that these bytes are. Whoever makes them has to take them from a good source of
    /// randomness.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }
}

/// Why no image was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbuildable {
    /// More than [`MAX_ENTRIES`].
    TooManyEntries,
    /// A name that is empty, too long, twice there, or of other characters than `a-z`, `0-9`, `-`,
    /// `_` and `.`.
    BadName,
    /// A span whose oldest is newer than its newest.
    BadHeader,
}

impl fmt::Display for Unbuildable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Unbuildable::TooManyEntries => "too many entries",
            Unbuildable::BadName => "an entry cannot be called so",
            Unbuildable::BadHeader => "a span of versions ends before it begins",
        })
    }
}

impl core::error::Error for Unbuildable {}

/// An image of these entries, signed. The same input gives the same bytes.
///
/// # Errors
/// As [`Unbuildable`] says.
pub fn build(header: &Header, entries: &[(&str, &[u8])], key: &SecretKey) -> Result<Vec<u8>, Unbuildable> {
    if entries.len() > MAX_ENTRIES {
        return Err(Unbuildable::TooManyEntries);
    }
    if [header.state, header.protocol].iter().any(|span| span.oldest > span.newest) {
        return Err(Unbuildable::BadHeader);
    }
    let mut offset = HEAD + entries.len() * ROW;
    let mut table = Vec::new();
    for (index, (name, bytes)) in entries.iter().enumerate() {
        let twice = entries.iter().take(index).any(|(other, _)| other == name);
        if twice || !is_name(name.as_bytes()) {
            return Err(Unbuildable::BadName);
        }
        let mut padded = [0; MAX_NAME];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        table.extend_from_slice(&padded);
        table.extend_from_slice(&(offset as u64).to_le_bytes());
        table.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        offset += bytes.len();
    }
    // There are at most `MAX_ENTRIES`, which fits.
    let head = Head { header: *header, entries: entries.len() as u16 };
    let mut image = Vec::with_capacity(offset + SEAL);
    image.extend_from_slice(&head.encode((offset + SEAL) as u64));
    image.extend_from_slice(&table);
    entries.iter().for_each(|(_, bytes)| image.extend_from_slice(bytes));
    Ok(sign(image, key))
}

/// The finished image: digest and signature are added to the rest of it.
pub(crate) fn sign(mut body: Vec<u8>, key: &SecretKey) -> Vec<u8> {
    let digest = *blake3::hash(&body).as_bytes();
    body.extend_from_slice(&digest);
    body.extend_from_slice(&key.0.sign(&signed(&digest)).to_bytes());
    body
}
