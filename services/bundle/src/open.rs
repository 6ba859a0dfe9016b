// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening an image: everything is checked before anything can be looked at.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::header::{Head, u16_at, u64_at};
use crate::table::Table;
use crate::{DIGEST, FORMAT, HEAD, Header, MAGIC, PublicKey, Refused, SEAL, SIGNATURE, signed};

/// An image that is whole, and signed by the key of this hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    header: Header,
    table: Table<'a>,
    digest: [u8; DIGEST],
}

impl<'a> Bundle<'a> {
    /// Opens an image, if `bytes` are exactly one and `key` signed it.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub fn open(bytes: &'a [u8], key: &PublicKey) -> Result<Self, Refused> {
        check_length(bytes)?;
        let (body, digest, signature) = parts(bytes).ok_or(Refused::NotAnImage)?;
        // The table and all the rest of the head are not looked at before it is known who wrote
        // them.
        if blake3::hash(body) != blake3::Hash::from_bytes(*digest) {
            return Err(Refused::Altered);
        }
        let key = VerifyingKey::from_bytes(key).map_err(|_| Refused::NoKey)?;
        key.verify_strict(&signed(digest), &Signature::from_bytes(signature))
            .map_err(|_| Refused::NotSigned)?;
        let malformed = Refused::Malformed("the head has values that this format does not know");
        let head = body.first_chunk().and_then(Head::decode).ok_or(malformed)?;
        let table = Table::read(body, head.entries).map_err(Refused::Malformed)?;
        Ok(Self { header: head.header, table, digest: *digest })
    }

    /// What the hypervisor in it is, and what it speaks.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of an entry.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&'a [u8]> {
        self.table.find(name)
    }

    /// All entries, in their order: name and bytes.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + '_ {
        self.table.all().map(|entry| (entry.name, entry.bytes))
    }

    /// The digest of the image, by which people and logs can name it.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Magic, format and length, in this order: of another format, nothing is known about its length.
fn check_length(bytes: &[u8]) -> Result<(), Refused> {
    let there = bytes.len() as u64;
    let at_least = (HEAD + SEAL) as u64;
    if bytes.is_empty() || !bytes.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic) {
        return Err(Refused::NotAnImage);
    }
    let cut = Refused::Truncated { bytes: there, of: at_least };
    let format = u16_at(bytes, 8).ok_or(cut)?;
    if format != FORMAT {
        return Err(Refused::UnknownFormat(format));
    }
    let of = u64_at(bytes, 16).ok_or(cut)?;
    if there < of {
        return Err(Refused::Truncated { bytes: there, of });
    }
    if there < at_least {
        return Err(cut);
    }
    if there > of { Err(Refused::TooLong { bytes: there, of }) } else { Ok(()) }
}

/// What the digest is made of, the digest, the signature.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8; DIGEST], &[u8; SIGNATURE])> {
    let (rest, signature) = bytes.split_last_chunk()?;
    let (body, digest) = rest.split_last_chunk()?;
    Some((body, digest, signature))
}
